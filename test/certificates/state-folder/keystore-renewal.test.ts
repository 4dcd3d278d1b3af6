import { X509Certificate } from 'node:crypto'
import { chmodSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'

import { openKeystore } from '../../../src/certificates/state-folder/keystore.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const NAMES: readonly SubjectAltName[] = [{ type: 'dns', value: 'proxy' }]
const OTHER_NAMES: readonly SubjectAltName[] = [{ type: 'ip', value: '10.0.0.1' }]

it('a leaf stays in force until two thirds of its life, then another one is issued under the same root', async () => {
  const { folder, keystore } = await openOne()
  const { bundle, root } = keystore
  await expect(keystore.renewIfDue(NAMES, after(59))).resolves.toBeUndefined()
  expect(keystore.bundle).toBe(bundle)

  const renewed = await keystore.renewIfDue(NAMES, after(60))
  expect(renewed).toBe(keystore.bundle)
  expect(keystore.bundle.leaf.fingerprint).not.toBe(bundle.leaf.fingerprint)
  expect(new X509Certificate(keystore.bundle.certPem).verify(new X509Certificate(root.pem).publicKey)).toBe(
    true,
  )
  expect(keystore.root).toEqual(root)
  expect(readFileSync(path.join(folder, 'leaf.crt'), 'utf8')).toBe(keystore.bundle.certPem)
  expect(readFileSync(path.join(folder, 'leaf.key'), 'utf8')).toBe(keystore.bundle.keyPem)
  await expect(keystore.renewIfDue(NAMES, after(60))).resolves.toBeUndefined()
})

it('another leaf is issued when the wanted names change', async () => {
  const { keystore } = await openOne()
  const renewed = await keystore.renewIfDue(OTHER_NAMES, NOW)
  expect(renewed?.leaf.subjectAltNames).toEqual(OTHER_NAMES)
})

it('a leaf that another process has put into the folder comes into force', async () => {
  const { folder, keystore } = await openOne()
  const other = await openKeystore({ folder, names: OTHER_NAMES, now: after(1) })
  const renewed = await keystore.renewIfDue(OTHER_NAMES, after(2))
  expect(renewed).toEqual(other.bundle)
})

it('two renewals at once leave a matching certificate and key', async () => {
  const { folder, keystore } = await openOne()
  await Promise.all([keystore.renewIfDue(NAMES, after(61)), keystore.renewIfDue(NAMES, after(61))])
  const reopened = await openKeystore({ folder, names: NAMES, now: after(61) })
  expect(reopened.issued).toEqual({ root: false, leaf: false })
})

it('no renewal issues a root, not even in an emptied folder', async () => {
  const { folder, keystore } = await openOne()
  const { bundle, root } = keystore
  for (const name of readdirSync(folder)) rmSync(path.join(folder, name))
  await expect(keystore.renewIfDue(NAMES, after(61))).rejects.toThrow(/root\.crt: is missing/)
  expect(readdirSync(folder)).toEqual([])
  expect(keystore).toMatchObject({ bundle, root })
})

it('a failed renewal keeps the leaf in force', async () => {
  const { folder, keystore } = await openOne()
  const { bundle } = keystore
  rmSync(path.join(folder, 'root.key'))
  await expect(keystore.renewIfDue(OTHER_NAMES, NOW)).rejects.toThrow(/root\.key: is missing/)
  expect(keystore.bundle).toBe(bundle)
})

async function openOne() {
  const folder = path.join(tempFolder(), 'state')
  return { folder, keystore: await openKeystore({ folder, names: NAMES, now: NOW }) }
}

// Counts from the start of the leaf's validity, an hour before it was issued.
function after(days: number): Date {
  return new Date(NOW.getTime() - 3_600_000 + days * 86_400_000)
}

it('a renewed key is not readable for others, even if the previous key was', async () => {
  const { folder, keystore } = await openOne()
  const key = path.join(folder, 'leaf.key')
  chmodSync(key, 0o644)
  await keystore.renewIfDue(OTHER_NAMES, after(1))
  expect(statSync(key).mode & 0o777).toBe(0o600)
})

it('two first starts at once on one folder use the same root', async () => {
  for (let round = 0; round < 10; round++) {
    const folder = path.join(tempFolder(), 'state')
    const open = () => openKeystore({ folder, names: NAMES, now: after(0) })
    const [one, other] = await Promise.all([open(), open()])
    expect(one.root).toEqual(other.root)
    expect([one.issued.root, other.issued.root].toSorted()).toEqual([false, true])
  }
})
