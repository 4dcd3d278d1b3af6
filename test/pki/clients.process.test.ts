import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { openKeystore, type Keystore } from '../../src/certificates/state-folder/keystore.ts'
import { automaticNames, leafNames, type SubjectAltName } from '../../src/pki/names.ts'
import { isStress } from '../fixtures/repetitions.ts'
import { makeTempFolder, removeFolder, tempFolder } from '../fixtures/temp-folder.ts'
import { startSwitchboard, TLS_CLIENTS, type Switchboard, type Target } from '../fixtures/tls-clients.ts'

const hasIPv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)
const CONFIGURED: readonly SubjectAltName[] = [
  { type: 'dns', value: 'proxy' },
  { type: 'dns', value: 'my_service' },
  { type: 'dns', value: '*.example.com' },
  { type: 'ip', value: '192.0.2.7' },
  { type: 'ip', value: '2001:db8::7' },
]

const folder = makeTempFolder()
let keystore: Keystore
let onIPv4: Server
let onIPv6: Server | undefined
let switchboard: Switchboard

beforeAll(async () => {
  const names = leafNames(CONFIGURED, automaticNames({ hostname: 'box', addresses: [] }))
  keystore = await openKeystore({ folder: path.join(folder, 'state'), names, now: new Date() })
  onIPv4 = await listen('127.0.0.1')
  onIPv6 = hasIPv6 ? await listen('::1') : undefined
  switchboard = await startSwitchboard((port) => (port === portOf(onIPv4) ? '127.0.0.1' : '::1'))
})

afterAll(() => {
  switchboard.close()
  onIPv4.close()
  onIPv6?.close()
  removeFolder(folder)
})

describe.each(TLS_CLIENTS)(
  '$name, which trusts the root',
  ({ name: client, isThere, connect, otherName }) => {
    // Podman verifies with the same libraries as skopeo, so usually one row of a table is enough.
    const chosen = <T>(rows: readonly T[]): readonly T[] =>
      client === 'podman' && !isStress ? rows.slice(0, 1) : rows

    it.skipIf(!isThere).each(
      chosen([
        ['a name', 'proxy'],
        ['a name with an underscore', 'my_service'],
        ['localhost', 'localhost'],
        ['the host name', 'box'],
        ['a name under the wildcard', 'any.example.com'],
        ['an IPv4 address', '192.0.2.7'],
        ['an IPv6 address', '2001:db8::7'],
        ['the loopback address', '127.0.0.1'],
      ]),
    )('connects by %s', async (_, name) => {
      await connect(targetOf(name))
    })

    it.skipIf(!isThere || !hasIPv6)('connects by the IPv6 loopback address', async () => {
      await connect({ ...targetOf('::1'), host: '::1', port: portOf(onIPv6) })
    })

    it.skipIf(!isThere).each(
      chosen([
        ['another name', 'other'],
        ['the parent of the wildcard', 'example.com'],
        ['a name with two labels for the wildcard', 'a.b.example.com'],
        ['another IPv4 address', '192.0.2.8'],
        ['another IPv6 address', '2001:db8::8'],
      ]),
    )('refuses %s', async (_, name) => {
      await expect(connect(targetOf(name))).rejects.toThrow(otherName)
    })

    it.skipIf(!isThere)('refuses the leaf when it trusts another root', async () => {
      const strange = await openKeystore({
        folder: path.join(tempFolder(), 'state'),
        names: CONFIGURED,
        now: new Date(),
      })
      const target = { ...targetOf('proxy'), rootFile: strange.root.file, rootPem: strange.root.pem }
      await expect(connect(target)).rejects.toThrow(/self.signed certificate in|signed by unknown authority/)
    })
  },
)

async function listen(host: string): Promise<Server> {
  const { certPem, keyPem } = keystore.bundle
  const server = createServer({ cert: certPem, key: keyPem }, (_, response) => response.end('hello'))
  server.listen(0, host)
  await once(server, 'listening')
  return server
}

function targetOf(name: string): Target {
  const { file: rootFile, pem: rootPem } = keystore.root
  const where = { host: '127.0.0.1', port: portOf(onIPv4), proxy: switchboard.url }
  return { name, ...where, rootFile, rootPem, folder: tempFolder() }
}

function portOf(server: Server | undefined): number {
  return (server?.address() as AddressInfo).port
}
