import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import { networkInterfaces } from 'node:os'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { issueRoot } from '../../src/tls/issue.ts'
import { openKeystore, type Keystore } from '../../src/tls/keystore.ts'
import { automaticNames, leafNames, type SubjectAltName } from '../../src/tls/names.ts'
import { findProgram } from '../fixtures/real.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const run = promisify(execFile)
const curl = findProgram('curl')
const hasIPv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)
const CONFIGURED: readonly SubjectAltName[] = [
  { type: 'dns', value: 'proxy' },
  { type: 'dns', value: 'my_service' },
  { type: 'dns', value: '*.example.com' },
]

const folder = makeTempFolder()
let keystore: Keystore
let onIPv4: Server
let onIPv6: Server | undefined

beforeAll(async () => {
  const names = leafNames(CONFIGURED, automaticNames({ hostname: 'box', addresses: [] }))
  keystore = await openKeystore({ folder, names, now: new Date() })
  onIPv4 = await listen('127.0.0.1')
  onIPv6 = hasIPv6 ? await listen('::1') : undefined
})

afterAll(() => {
  onIPv4.close()
  onIPv6?.close()
  removeFolder(folder)
})

describe('a client that trusts the root', () => {
  it.each(['proxy', 'my_service', 'any.example.com', 'localhost', 'box'])(
    'connects by the name %s',
    async (name) => {
      await expect(connectTo(onIPv4, { servername: name })).resolves.toBe('authorized')
    },
  )

  it('connects by IPv4 address', async () => {
    await expect(connectTo(onIPv4, {})).resolves.toBe('authorized')
  })

  it.skipIf(!hasIPv6)('connects by IPv6 address', async () => {
    await expect(connectTo(onIPv6 ?? onIPv4, {})).resolves.toBe('authorized')
  })

  it.each(['other', 'example.com', 'a.b.example.com'])('turns away from the name %s', async (name) => {
    await expect(connectTo(onIPv4, { servername: name })).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
  })
})

it('a client that trusts another root turns away', async () => {
  const ca = issueRoot({ now: new Date() }).certPem
  await expect(connectTo(onIPv4, { servername: 'proxy', ca })).rejects.toMatchObject({
    code: 'SELF_SIGNED_CERT_IN_CHAIN',
  })
})

describe.skipIf(curl === undefined)('curl with the root', () => {
  it.each([
    ['a name', 'proxy'],
    ['a name under the wildcard', 'any.example.com'],
    ['localhost', 'localhost'],
    ['an IPv4 address', '127.0.0.1'],
  ])('is answered by %s', async (_, host) => {
    await expect(curlTo(onIPv4, host)).resolves.toBe('hello')
  })

  it.skipIf(!hasIPv6)('is answered by an IPv6 address', async () => {
    await expect(curlTo(onIPv6 ?? onIPv4, '[::1]')).resolves.toBe('hello')
  })

  it('turns away from another name, with the code for a certificate that does not fit', async () => {
    await expect(curlTo(onIPv4, 'other')).rejects.toMatchObject({ code: 60 })
  })
})

async function listen(host: string): Promise<Server> {
  const { certPem, keyPem } = keystore.bundle
  const server = createServer({ cert: certPem, key: keyPem }, (_, response) => response.end('hello'))
  server.listen(0, host)
  await once(server, 'listening')
  return server
}

async function connectTo(server: Server, options: { servername?: string; ca?: string }): Promise<string> {
  const socket = connect({ ...addressOf(server), ca: keystore.root.pem, ...options })
  try {
    await once(socket, 'secureConnect')
    return socket.authorized ? 'authorized' : String(socket.authorizationError)
  } finally {
    socket.destroy()
  }
}

async function curlTo(server: Server, host: string): Promise<string> {
  const { host: address, port } = addressOf(server)
  const resolve = host.startsWith('[') ? [] : ['--resolve', `${host}:${port}:${address}`]
  const args = [
    '--silent',
    '--show-error',
    '--noproxy',
    '*',
    '--max-time',
    '10',
    '--cacert',
    keystore.root.file,
  ]
  const { stdout } = await run(curl ?? 'curl', [...args, ...resolve, `https://${host}:${port}/`])
  return stdout
}

function addressOf(server: Server): { readonly host: string; readonly port: number } {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server does not listen.')
  return { host: address.address, port: address.port }
}
