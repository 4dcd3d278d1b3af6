import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/settings/config.ts'

const COUNTS = [
  ['SIDECAR_MAX_CONNECTIONS', 'maxConnections'],
  ['SIDECAR_MAX_CONNECTIONS_PER_SOURCE', 'maxConnectionsPerSource'],
  ['SIDECAR_MAX_REQUESTS_PER_CONNECTION', 'maxRequestsPerConnection'],
  ['SIDECAR_MAX_TRANSFERS_PER_USER', 'maxTransfersPerUser'],
] as const

const TIMES = [
  ['SIDECAR_HANDSHAKE_TIMEOUT', 'handshakeTimeout'],
  ['SIDECAR_HEADER_TIMEOUT', 'headerTimeout'],
] as const

describe('the settings of limits', () => {
  it.each(COUNTS)('%s is a count, or off', (variable, name) => {
    expect(parseConfig({ env: { [variable]: '7' } })[name]).toBe(7)
    expect(parseConfig({ env: { [variable]: 'off' } })[name]).toBe('off')
    for (const text of ['0', '-1', '1.5', '1k', '0x10', '007', '10000000', 'none', '1e3']) {
      expect(() => parseConfig({ env: { [variable]: text } }), text).toThrow(
        `${variable}: "${text}" is not a count`,
      )
    }
  })

  it.each(TIMES)('%s is a duration, and never off', (variable, name) => {
    expect(parseConfig({ env: { [variable]: '3s' } })[name]).toBe(3_000)
    for (const text of ['off', '10', '0s']) {
      expect(() => parseConfig({ env: { [variable]: text } }), text).toThrow(variable)
    }
  })
})
