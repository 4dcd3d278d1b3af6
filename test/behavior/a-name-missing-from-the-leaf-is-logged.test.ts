import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import tls from 'node:tls'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { issueRoot } from '../../src/pki/issue.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const run = promisify(execFile)
const curl = findProgram('curl') ?? ''
const openssl = findProgram('openssl') ?? ''
const skopeo = findProgram('skopeo') ?? ''

const ADD = /^add \S+ to SIDECAR_HOSTS/
const TRUST = /^make it trust the root/

/** Writes a root to a file. */
function rootFile(pem: string): string {
  const file = path.join(tempFolder(), 'ca.crt')
  writeFileSync(file, pem)
  return file
}

const foreignRoot = () => rootFile(issueRoot({ now: new Date() }).certPem)

/** Waits for this many warnings and returns the name, the source of the name and the fix of each. */
async function warnings(sidecar: TestSidecar, count: number) {
  const logged = () => sidecar.lines.filter(({ level }) => level === 40)
  await until(() => logged().length >= count, { deadlineMs: 5_000, what: `${count} warnings` })
  return logged().map(({ address, name, by, hint }) => ({ address, name, by, hint: String(hint) }))
}

const versions = ['TLSv1.2', 'TLSv1.3'] as const

describe.each(versions)('over %s', (version) => {
  const old = version === 'TLSv1.2'

  it('the name that a Node client refused is logged', async () => {
    const sidecar = await sidecarForTest()
    const { port, root } = sidecar
    const socket = tls.connect({
      port,
      ca: root.pem,
      host: '127.0.0.1',
      servername: 'other.example',
      maxVersion: version,
    })
    const [error] = (await once(socket, 'error')) as [Error & { code: string }]
    expect(error.code).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await warnings(sidecar, 1)).toEqual([
      {
        address: '127.0.0.1',
        name: 'other.example',
        by: 'server name',
        hint: expect.stringMatching(ADD) as string,
      },
    ])
  })

  it.skipIf(curl === '')(
    'the name that curl refused is logged, and that curl does not trust the root',
    async () => {
      const sidecar = await sidecarForTest()
      const ask = (name: string, ca: string) =>
        run(curl, [
          '-s',
          ...(old ? ['--tls-max', '1.2'] : []),
          '--noproxy',
          '*',
          '--cacert',
          ca,
          '--resolve',
          `${name}:${sidecar.port}:127.0.0.1`,
          `https://${name}:${sidecar.port}/v2/`,
        ])
      await expect(ask('other.example', rootFile(sidecar.root.pem))).rejects.toMatchObject({ code: 60 })
      await expect(ask('localhost', foreignRoot())).rejects.toMatchObject({ code: 60 })
      expect(await warnings(sidecar, 2)).toEqual([
        expect.objectContaining({
          name: 'other.example',
          by: 'server name',
          hint: expect.stringMatching(ADD) as string,
        }),
        expect.objectContaining({ name: 'localhost', hint: expect.stringMatching(TRUST) as string }),
      ])
    },
  )

  it.skipIf(openssl === '')(
    "the name and the root that OpenSSL's alerts concern are distinguished",
    async () => {
      const sidecar = await sidecarForTest()
      const ask = async (name: string, ca: string) => {
        const flags = [
          '-servername',
          name,
          '-verify_hostname',
          name,
          '-CAfile',
          ca,
          '-verify_return_error',
          ...(old ? ['-tls1_2'] : []),
        ]
        const asking = run(openssl, ['s_client', '-connect', `127.0.0.1:${sidecar.port}`, ...flags])
        asking.child.stdin?.end()
        await expect(asking).rejects.toMatchObject({ code: 1 })
      }
      await ask('other.example', rootFile(sidecar.root.pem))
      await ask('localhost', foreignRoot())
      expect(await warnings(sidecar, 2)).toEqual([
        expect.objectContaining({ name: 'other.example', hint: expect.stringMatching(ADD) as string }),
        expect.objectContaining({ name: 'localhost', hint: expect.stringMatching(TRUST) as string }),
      ])
    },
  )
})

describe.skipIf(skopeo === '')('skopeo, written in Go', () => {
  it('is logged with the fix if it does not trust the root', async () => {
    const sidecar = await sidecarForTest()
    const certs = path.dirname(foreignRoot())
    const inspect = run(skopeo, ['inspect', '--cert-dir', certs, `docker://localhost:${sidecar.port}/app`])
    await expect(inspect).rejects.toThrow(/x509/)
    expect(await warnings(sidecar, 1)).toEqual([
      expect.objectContaining({ name: 'localhost', hint: expect.stringMatching(TRUST) as string }),
    ])
  })

  // Linux accepts connections on all of 127.0.0.0/8.
  it.skipIf(process.platform !== 'linux')(
    'is logged if it connects to an address that the leaf lacks',
    async () => {
      const sidecar = await sidecarForTest({ env: { SIDECAR_LISTEN: '0.0.0.0:0' } })
      const certs = path.join(tempFolder(), 'certs')
      mkdirSync(certs)
      writeFileSync(path.join(certs, 'ca.crt'), sidecar.root.pem)
      const inspect = run(skopeo, ['inspect', '--cert-dir', certs, `docker://127.0.0.2:${sidecar.port}/app`])
      await expect(inspect).rejects.toThrow(/x509/)
      expect(await warnings(sidecar, 1)).toEqual([
        {
          address: '127.0.0.1',
          name: '127.0.0.2',
          by: 'address',
          hint: expect.stringMatching(ADD) as string,
        },
      ])
    },
  )
})

describe('the Host of a request', () => {
  it('is logged once, without its port, if the leaf lacks it, and the request continues', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({
      upstreamPort: upstream.port,
      env: { SIDECAR_HOSTS: '*.lab.example' },
    })
    const ask = (Host: string) =>
      sidecar.request({ as: ALICE, path: '/v2/', servername: 'localhost', headers: { Host } })
    for (const host of [
      'Other.example:443',
      'other.example',
      'a.lab.example:5000',
      '[::1]:443',
      '[2001:db8::9]:1',
    ]) {
      expect((await ask(host)).status).toBe(200)
    }
    expect(await warnings(sidecar, 2)).toEqual([
      {
        address: '127.0.0.1',
        name: 'other.example',
        by: 'host header',
        hint: expect.stringMatching(ADD) as string,
      },
      {
        address: '127.0.0.1',
        name: '2001:db8::9',
        by: 'host header',
        hint: expect.stringMatching(ADD) as string,
      },
    ])
  })

  it('is also logged for a client without a login, and is checked for each request of a connection', async () => {
    const sidecar = await sidecarForTest()
    const socket = await sidecar.connect()
    const ask = async (host: string) => {
      socket.write(`GET /v2/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
      await once(socket, 'data')
    }
    for (const host of ['localhost', 'one.example', 'one.example', 'two.example', 'localhost'])
      await ask(host)
    expect((await warnings(sidecar, 2)).map(({ name }) => name)).toEqual(['one.example', 'two.example'])
    socket.destroy()
  })
})

it.skipIf(process.platform !== 'linux')('a client that leaves without a name is not logged', async () => {
  const sidecar = await sidecarForTest({ env: { SIDECAR_LISTEN: '0.0.0.0:0' } })
  const scan = tls.connect({
    port: sidecar.port,
    host: '127.0.0.2',
    ciphers: 'AES128-SHA',
    maxVersion: 'TLSv1.2',
  })
  await once(scan, 'error')
  await sidecar.request({ path: '/v2/' })
  expect(sidecar.lines.filter(({ level }) => level === 40)).toEqual([])
})
