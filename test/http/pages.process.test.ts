import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { issueByIntermediate } from '../fixtures/openssl.ts'
import { sidecarForTest } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

it('the trust page says that there is nothing to trust with the certificate of an authority', async () => {
  const folder = tempFolder()
  const { rootPem, intermediatePem, pair } = issueByIntermediate()
  const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')]
  writeFileSync(cert, `${pair.certPem}${intermediatePem}`)
  writeFileSync(key, pair.keyPem)
  const own = await sidecarForTest({ rootPem, env: { SIDECAR_TLS_CERT: cert, SIDECAR_TLS_KEY: key } })
  const text = (await own.request({ path: '/-/', servername: 'localhost' })).body.toString()
  expect(text).toContain('Nothing to trust')
  expect(text).not.toMatch(/ca\.crt|certs\.d/)
  expect(text).toContain('docker login')
})
