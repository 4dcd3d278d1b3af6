import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import tls from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { issueLeaf, issueRoot } from '../../src/pki/issue.ts'
import { openKeystore } from '../../src/certificates/state-folder/keystore.ts'
import { wantedNames } from '../../src/certificates/names/wanted-names.ts'
import { renewedCert } from '../fixtures/renewed-cert.ts'
import { sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { THIS_MACHINE } from '../fixtures/this-machine.ts'
import { until } from '../fixtures/until.ts'
import { withoutFileEvents } from '../files/no-file-events.ts'

interface Handshake {
  readonly fingerprint: string
  readonly isReused: boolean
  readonly session: Buffer | undefined
}

/** Makes a verified handshake on a new connection. TLS 1.2 provides the session at once. */
function handshake({ port, root }: TestSidecar, session?: Buffer): Promise<Handshake> {
  return new Promise((resolve, reject) => {
    const options = { port, ca: root.pem, host: '127.0.0.1', servername: 'localhost', session }
    const socket = tls.connect({ ...options, maxVersion: 'TLSv1.2' }, () => {
      const fingerprint = socket.getPeerX509Certificate()?.fingerprint256 ?? ''
      resolve({ fingerprint, isReused: socket.isSessionReused(), session: socket.getSession() })
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

/** Renews the leaf and resolves to its fingerprint. */
async function renew({ folder }: TestSidecar): Promise<string> {
  return (await renewedCert(path.join(folder, 'state'))).leaf.fingerprint
}

async function untilServed(sidecar: TestSidecar, fingerprint: string): Promise<void> {
  await until(async () => (await handshake(sidecar)).fingerprint === fingerprint, {
    deadlineMs: 2_000,
    what: 'the renewed leaf',
  })
}

describe('a leaf that `cert renew` issued', () => {
  it('is served within two seconds', async () => {
    const sidecar = await sidecarForTest({ env: { SIDECAR_WATCH_POLL: 'off' } })
    await untilServed(sidecar, await renew(sidecar))
  })

  it('is served within two seconds without file events', async () => {
    onTestFinished(withoutFileEvents())
    const sidecar = await sidecarForTest()
    await untilServed(sidecar, await renew(sidecar))
  })

  it('is served to clients that resume an older session', async () => {
    const sidecar = await sidecarForTest()
    const { session } = await handshake(sidecar)
    expect((await handshake(sidecar, session)).isReused).toBe(true)
    const fingerprint = await renew(sidecar)
    await untilServed(sidecar, fingerprint)
    expect(await handshake(sidecar, session)).toMatchObject({ isReused: false, fingerprint })
  })

  it('is read again at SIGHUP', async () => {
    onTestFinished(withoutFileEvents())
    const sidecar = await sidecarForTest({ env: { SIDECAR_WATCH_POLL: 'off' } })
    const fingerprint = await renew(sidecar)
    await sidecar.reload()
    expect((await handshake(sidecar)).fingerprint).toBe(fingerprint)
  })
})

it('a leaf that is not valid yet is served, and reported in the log and by /readyz', async () => {
  const folder = path.join(tempFolder(), 'state')
  const ahead = new Date(Date.now() + 2 * 3_600_000)
  await openKeystore({ folder, names: wantedNames({ hosts: [] }, THIS_MACHINE.names), now: ahead })
  const sidecar = await sidecarForTest({ env: { SIDECAR_STATE_DIR: folder } })
  expect((await sidecar.readiness()).parts.certificate).toMatchObject({
    ready: true,
    state: 'not-yet-valid',
    reason: expect.stringMatching(/^valid from 20.*Z; check the clock of this machine$/) as unknown,
  })
  expect(sidecar.lines.filter(({ level }) => level === 50)).toMatchObject([
    { msg: 'the certificate is not valid yet: clients refuse it' },
  ])
})

it('a certificate without its key is never served, and neither is the leaf of another root', async () => {
  const sidecar = await sidecarForTest()
  const { fingerprint } = sidecar.certificate.current.leaf
  const stranger = issueLeaf({
    root: issueRoot({ now: new Date() }),
    names: [{ type: 'dns', value: 'localhost' }],
    now: new Date(),
  })
  writeFileSync(path.join(sidecar.folder, 'state', 'leaf.crt'), stranger.certPem)
  const foreign = new X509Certificate(stranger.certPem).fingerprint256
  // The sidecar finally issues a new leaf. Every handshake until then is verified under its root.
  const seen = new Set<string>()
  await until(async () => seen.add((await handshake(sidecar)).fingerprint).size > 1, {
    deadlineMs: 20_000,
    what: 'a leaf in the place of the broken pair',
  })
  expect([...seen][0]).toBe(fingerprint)
  expect(seen).not.toContain(foreign)
})
