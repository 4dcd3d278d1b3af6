import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/settings/config.ts'
import { affordableConnections } from '../../src/app/file-descriptors.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'

function affordWithLog(wanted: number | 'off', openFiles: number | undefined) {
  const { log, lines } = recordedLog()
  const connections = affordableConnections({ wanted, openFiles }, log)
  return { connections, lines }
}

describe('affordable connections', () => {
  it.each([
    ['fit the default into 16384 open files', parseConfig({ env: {} }).maxConnections, 16_384, 8_064],
    ['use the open files limit when the setting is off', 'off', 1_024, 384],
    ['are unlimited when the system states no limit', 8_000, undefined, Infinity],
  ] as const)('%s', (_, wanted, openFiles, connections) => {
    expect(affordWithLog(wanted, openFiles)).toEqual({ connections, lines: [] })
  })

  it.each([
    [1_024, 384],
    [64, 16],
  ])(
    'are fewer than wanted with %d open files, with a warning that says what to set',
    (openFiles, connections) => {
      const afforded = affordWithLog(8_000, openFiles)
      expect(afforded.connections).toBe(connections)
      expect(afforded.lines).toMatchObject([{ level: 40, openFiles, connections, wanted: 8_000 }])
      const text = JSON.stringify(afforded.lines)
      expect(text).toContain('ulimit -n 16256')
      expect(text).toContain('SIDECAR_MAX_CONNECTIONS')
    },
  )
})
