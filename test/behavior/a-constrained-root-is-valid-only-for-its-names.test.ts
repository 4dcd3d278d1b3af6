import { execFile } from 'node:child_process'
import { hostname } from 'node:os'
import path from 'node:path'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { issueLeaf } from '../../src/pki/issue.ts'
import { openKeystore } from '../../src/certificates/state-folder/keystore.ts'
import type { SubjectAltName } from '../../src/pki/names.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { answering, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const run = promisify(execFile)
const skopeo = findProgram('skopeo')
const CONSTRAINED = { SIDECAR_CA_CONSTRAIN: 'true', SIDECAR_HOSTS: 'proxy' }
const NARROW: readonly SubjectAltName[] = [
  { type: 'dns', value: 'localhost' },
  { type: 'ip', value: '127.0.0.1' },
]

/** Creates a state folder whose root is valid only for loopback names and `proxy`. */
async function narrowStateDir(): Promise<string> {
  const folder = path.join(tempFolder(), 'state')
  const names: readonly SubjectAltName[] = [
    ...NARROW,
    { type: 'ip', value: '::1' },
    { type: 'dns', value: 'proxy' },
  ]
  await openKeystore({ folder, names, constrainTo: names, now: new Date() })
  return folder
}

describe('SIDECAR_CA_CONSTRAIN', () => {
  it('issues a root for the wanted names only, and clients trust the sidecar under it', async () => {
    const sidecar = await sidecarForTest({ env: CONSTRAINED })
    const permitted = sidecar.root.permitted?.map(({ value }) => value)
    expect(permitted).toEqual(expect.arrayContaining(['proxy', 'localhost', '127.0.0.1', '::1']))
    expect((await sidecar.request({ as: ALICE, path: '/-/ca.crt' })).status).toBe(200)
    expect(sidecar.lines.filter(({ level }) => Number(level) > 30)).toEqual([])
  })

  it('refuses to start with a name outside the root’s constraints', async () => {
    const SIDECAR_STATE_DIR = await narrowStateDir()
    const start = sidecarForTest({ env: { SIDECAR_STATE_DIR, SIDECAR_HOSTS: 'proxy,new.example' } })
    await expect(start).rejects.toThrow(/not for new\.example: remove these names from SIDECAR_HOSTS/)
  })

  it.skipIf(hostname() === 'localhost')('leaves out a name of the machine with one warning', async () => {
    const SIDECAR_STATE_DIR = await narrowStateDir()
    const sidecar = await sidecarForTest({ env: { SIDECAR_STATE_DIR, SIDECAR_HOSTS: 'proxy' } })
    await sidecar.reload()
    const names = sidecar.certificate.current.leaf.subjectAltNames.map(({ value }) => value)
    expect(names.toSorted()).toEqual(['127.0.0.1', '::1', 'localhost', 'proxy'])
    const warnings = sidecar.lines.filter(({ msg }) =>
      String(msg).startsWith('names of this machine are left out'),
    )
    expect(warnings).toEqual([
      expect.objectContaining({ names: expect.arrayContaining([hostname().toLowerCase()]) as unknown }),
    ])
  })

  it('warns that it does not change an existing root without constraints', async () => {
    const folder = path.join(tempFolder(), 'state')
    await openKeystore({ folder, names: NARROW, now: new Date() })
    const sidecar = await sidecarForTest({ env: { ...CONSTRAINED, SIDECAR_STATE_DIR: folder } })
    expect(sidecar.lines).toContainEqual(
      expect.objectContaining({
        msg: expect.stringContaining('SIDECAR_CA_CONSTRAIN does not change this root') as string,
      }),
    )
  })
})

describe.skipIf(skopeo === undefined)('skopeo, which verifies as Go does,', () => {
  it('accepts a leaf for permitted names and refuses one for others', { timeout: 60_000 }, async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'))
    const stateDir = await narrowStateDir()
    const env = { SIDECAR_STATE_DIR: stateDir, SIDECAR_HOSTS: 'proxy' }
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port, env })
    const certs = path.join(tempFolder(), 'certs')
    mkdirSync(certs)
    writeFileSync(path.join(certs, 'ca.crt'), sidecar.root.pem)
    const list = ({ port }: TestSidecar) => {
      const place = `docker://127.0.0.1:${port}/app`
      return run(skopeo ?? '', ['list-tags', '--cert-dir', certs, '--creds', ALICE, place])
    }
    // The repository does not exist, so this answer shows that the handshake succeeded.
    await expect(list(sidecar)).rejects.toThrow(/404 \(Not Found\)/)

    const file = (name: string) => readFileSync(path.join(stateDir, name), 'utf8')
    const root = { certPem: file('root.crt'), keyPem: file('root.key') }
    const names: readonly SubjectAltName[] = [...NARROW, { type: 'dns', value: 'other.example' }]
    const outside = issueLeaf({ root, names, now: new Date() })
    const own = tempFolder()
    writeFileSync(path.join(own, 'tls.crt'), outside.certPem)
    writeFileSync(path.join(own, 'tls.key'), outside.keyPem)
    const stranger = await sidecarForTest({
      upstreamPort: upstream.port,
      rootPem: sidecar.root.pem,
      env: {
        SIDECAR_TLS_CERT: path.join(own, 'tls.crt'),
        SIDECAR_TLS_KEY: path.join(own, 'tls.key'),
      },
    })
    await expect(list(stranger)).rejects.toThrow(/not permitted by any constraint/)
  })
})
