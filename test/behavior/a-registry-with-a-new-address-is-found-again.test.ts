import dns from 'node:dns'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished, vi } from 'vitest'
import { ALICE, sidecarForTest } from '../fixtures/sidecar.ts'

/** Starts a registry that answers with its address. Closing it cuts connections, as a stopped container does. */
async function registryAt(host: string, port = 0) {
  const server = http.createServer((_incoming, outgoing) => outgoing.end(host))
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  onTestFinished(close)
  return { port: (server.address() as AddressInfo).port, close }
}

it('a name that has another address after a restart of the registry is resolved again at once', async () => {
  const old = await registryAt('127.0.0.2')
  await registryAt('127.0.0.3', old.port)
  const sidecar = await sidecarForTest({ env: { SIDECAR_UPSTREAM: `http://registry.test:${old.port}` } })
  let address = '127.0.0.2'
  // After the start, because listeners resolve addresses too.
  const lookup = vi.spyOn(dns, 'lookup').mockImplementation(((
    _name: string,
    { all }: dns.LookupOptions,
    callback: (error: null, found: string | dns.LookupAddress[], family?: number) => void,
  ) => {
    if (all === true) callback(null, [{ address, family: 4 }])
    else callback(null, address, 4)
  }) as typeof dns.lookup)
  onTestFinished(() => {
    lookup.mockRestore()
  })
  const whoAnswers = async () => (await sidecar.request({ as: ALICE, path: '/v2/' })).body.toString()
  expect(await whoAnswers()).toBe('127.0.0.2')

  old.close()
  address = '127.0.0.3'
  for (let i = 0; i < 5; i++) expect(await whoAnswers()).toBe('127.0.0.3')
})
