import { X509Certificate } from 'node:crypto'
import path from 'node:path'
import tls from 'node:tls'
import { expect, it } from 'vitest'
import { fingerprintServed } from '../fixtures/own-certificate.ts'
import { renewedCert } from '../fixtures/renewed-cert.ts'
import { sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

/** Repeats handshakes under one root until the client sees this leaf. Rejects if one fails. */
async function untilServed({ port, root }: TestSidecar, fingerprint: string): Promise<void> {
  await until(async () => (await fingerprintServed(port, root.pem)) === fingerprint, {
    deadlineMs: 2_000,
    what: 'the leaf under the new root',
  })
}

it('sidecars on one folder serve it within two seconds to clients of the old root and of the new one', async () => {
  // This connection stays silent during the test.
  const one = await sidecarForTest({ env: { SIDECAR_HEADER_TIMEOUT: '10m' } })
  const stateDir = path.join(one.folder, 'state')
  const other = await sidecarForTest({ env: { SIDECAR_STATE_DIR: stateDir } })
  const sidecars = [one, other]
  const running = await one.connect()

  for (const before of [one.root.fingerprint, undefined]) {
    const { leaf, root } = await renewedCert(stateDir, { root: true })
    // The clients still trust only the first root.
    await Promise.all(sidecars.map((sidecar) => untilServed(sidecar, leaf.fingerprint)))
    for (const sidecar of sidecars) {
      const fetched = (await sidecar.request({ path: '/-/ca.crt' })).body.toString()
      expect(new X509Certificate(fetched).fingerprint256).toBe(root.fingerprint)
      expect(await fingerprintServed(sidecar.port, fetched)).toBe(leaf.fingerprint)
      const logged = sidecar.lines.filter(({ msg }) => String(msg).startsWith('root renewed'))
      expect(logged.at(-1)).toMatchObject({ level: 30, fingerprint: root.fingerprint })
      if (before !== undefined) expect(logged).toMatchObject([{ earlier: { fingerprint: before } }])
    }
  }
  expect(running.destroyed).toBe(false)
  expect(sidecars.flatMap(({ lines }) => lines.filter(({ level }) => Number(level) > 40))).toEqual([])
})

it('clients that trust another root are refused as before', async () => {
  const sidecar = await sidecarForTest()
  const stranger = await sidecarForTest({ isFirstStart: true })
  const { leaf } = await renewedCert(path.join(sidecar.folder, 'state'), { root: true })
  await untilServed(sidecar, leaf.fingerprint)
  const options = { port: sidecar.port, host: '127.0.0.1', servername: 'localhost', ca: stranger.root.pem }
  const refusal = new Promise((resolve, reject) => {
    tls.connect(options, reject).once('error', resolve)
  })
  expect(await refusal).toMatchObject({ code: expect.stringMatching(/ISSUER|VERIFY/) as string })
})
