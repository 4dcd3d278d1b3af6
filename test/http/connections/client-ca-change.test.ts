// Tests that a failed change of the client CAs still takes access away.

import https from 'node:https'
import { expect, it } from 'vitest'
import { connectionOf } from '../../../src/http/connections/connection.ts'
import { isOutdated } from '../../../src/http/connections/client-ca-change.ts'
import { createClientAuthority } from '../../fixtures/client-authority.ts'
import { startListener } from '../../fixtures/listener.ts'
import { createAuthority } from '../../fixtures/own-certificate.ts'
import { until } from '../../fixtures/until.ts'

it('refuses connections of the previous client CAs even if the server rejects the new ones', async () => {
  const authority = createAuthority()
  const listener = await startListener({
    certificate: authority.issue(),
    clientCaPem: createClientAuthority().cert,
    handler: (incoming, outgoing) => {
      outgoing.end(String(isOutdated(connectionOf(incoming.socket))))
    },
  })
  const ask = async (): Promise<string> => {
    let body = ''
    https
      .get(
        { host: '127.0.0.1', port: listener.address.port, ca: authority.rootPem, agent: false },
        (answer) => {
          answer.on('data', (chunk: Buffer) => (body += chunk.toString()))
        },
      )
      .on('error', (error) => (body = error.message))
    await until(() => body !== '', { deadlineMs: 5_000, what: 'an answer' })
    return body
  }
  expect(await ask()).toBe('false')
  expect(() => {
    // Node refuses it, as OpenSSL might refuse a file.
    listener.accept(5 as unknown as string)
  }).toThrow()
  expect(await ask()).toBe('true')
  listener.accept(createClientAuthority().cert)
  expect(await ask()).toBe('false')
})
