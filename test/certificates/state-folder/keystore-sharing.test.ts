// Tests several processes on one state folder: replicas, and `cert renew` beside a sidecar.
//
// The lock is a file, so callers in one process exclude each other like processes.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'

import { withFileLock } from '../../../src/files/file-lock.ts'
import { issueLeaf, type IssuedCertificate } from '../../../src/pki/issue.ts'
import { openKeystore, renewLeaf, type Keystore } from '../../../src/certificates/state-folder/keystore.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { repetitions } from '../../fixtures/repetitions.ts'

const ROUNDS = repetitions({ usual: 2, stress: 5 })

const NOW = new Date('2030-01-01T00:00:00Z')
const DAY_MS = 86_400_000
const NAMES: readonly SubjectAltName[] = [{ type: 'dns', value: 'proxy' }]
const OTHER_NAMES: readonly SubjectAltName[] = [{ type: 'ip', value: '10.0.0.1' }]

describe('renewals at once on one folder', () => {
  it('leave a matching key and certificate', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const { folder, keystore } = await openOne()
      const others = await Promise.all([1, 2, 3].map(() => open(folder)))
      await Promise.all([
        ...Array.from({ length: 8 }, () => renewNow(folder)),
        ...[keystore, ...others].map((one) => one.renewIfDue(NAMES, after(61))),
      ])
      expect(isPair(pairIn(folder))).toBe(true)
      expect(readdirSync(folder)).toHaveLength(5)
    }
  })

  it('issue only one leaf when one is due', async () => {
    const { folder, keystore } = await openOne()
    const keystores = [keystore, ...(await Promise.all([1, 2, 3].map(() => open(folder))))]
    await Promise.all(keystores.map((one) => one.renewIfDue(NAMES, after(61))))
    const fingerprints = new Set(keystores.map((one) => one.bundle.leaf.fingerprint))
    expect(fingerprints).toEqual(new Set([new X509Certificate(pairIn(folder).certPem).fingerprint256]))
  })

  it('wait for the lock, and use the leaf that its holder has issued', async () => {
    const { folder, keystore } = await openOne()
    const next = leafUnder(folder, after(61))
    const renewal = await withFileLock(path.join(folder, 'root.crt'), async () => {
      const waiting = keystore.renewIfDue(NAMES, after(61))
      await pause(400)
      put(folder, next)
      return { waiting }
    })
    expect((await renewal.waiting)?.keyPem).toBe(next.keyPem)
    expect(pairIn(folder).keyPem).toBe(next.keyPem)
  })
})

describe('a pair with one new half', () => {
  it.each([
    ['key', 'leaf.key', 'leaf.crt'],
    ['certificate', 'leaf.crt', 'leaf.key'],
  ] as const)('is waited for when the %s came first, not replaced', async (_, first, second) => {
    const { folder, keystore } = await openOne()
    const next = leafUnder(folder, NOW)
    const text = { 'leaf.key': next.keyPem, 'leaf.crt': next.certPem }
    writeFileSync(path.join(folder, first), text[first])
    const renewal = keystore.renewIfDue(NAMES, NOW)
    await pause(100)
    writeFileSync(path.join(folder, second), text[second])
    await expect(renewal).resolves.toMatchObject(next)
    expect(pairIn(folder)).toEqual(next)
  })

  it('is replaced when the other half does not come', async () => {
    const { folder, keystore } = await openOne()
    const before = keystore.bundle
    writeFileSync(path.join(folder, 'leaf.key'), leafUnder(folder, NOW).keyPem)
    const renewed = await keystore.renewIfDue(NAMES, NOW)
    expect(renewed?.leaf.fingerprint).not.toBe(before.leaf.fingerprint)
    expect(isPair(pairIn(folder))).toBe(true)
  })
})

describe('two sidecars with different names', () => {
  it("do not replace each other's leaf for ever: each keeps its own, and the folder keeps the last one", async () => {
    const { folder, keystore } = await openOne()
    const other = await open(folder, OTHER_NAMES)
    const [mine, stored] = [keystore.bundle, pairIn(folder)]
    await expect(keystore.renewIfDue(NAMES, NOW)).resolves.toBeUndefined()
    await expect(other.renewIfDue(OTHER_NAMES, NOW)).resolves.toBeUndefined()
    expect(keystore.bundle).toBe(mine)
    expect(pairIn(folder)).toEqual(stored)
  })

  it('are still renewed when their own leaves are due', async () => {
    const { folder, keystore } = await openOne()
    await open(folder, OTHER_NAMES, after(30))
    const renewed = await keystore.renewIfDue(NAMES, after(61))
    expect(renewed?.leaf.subjectAltNames).toEqual(NAMES)
  })
})

describe('a renewal on demand', () => {
  it('issues another leaf for the same names under the same root', async () => {
    const { folder, keystore } = await openOne()
    const { root, leaf, file } = await renewNow(folder)
    expect(root).toEqual(keystore.root)
    expect(leaf.subjectAltNames).toEqual(NAMES)
    expect(leaf.fingerprint).not.toBe(keystore.bundle.leaf.fingerprint)
    expect(file).toBe(path.join(folder, 'leaf.crt'))
    await expect(keystore.renewIfDue(NAMES, NOW)).resolves.toMatchObject({ leaf })
  })

  it('keeps the names of a leaf that has expired', async () => {
    const { folder } = await openOne()
    expect((await renewNow(folder, after(100))).leaf.subjectAltNames).toEqual(NAMES)
  })

  it.each(['', undefined])('uses the names in the settings when the leaf is lost: %j', async (text) => {
    const { folder } = await openOne()
    const file = path.join(folder, 'leaf.crt')
    if (text === undefined) rmSync(file)
    else writeFileSync(file, text)
    expect((await renewNow(folder)).leaf.subjectAltNames).toEqual(OTHER_NAMES)
  })

  it('issues no root, and creates no folder', async () => {
    const folder = path.join(tempFolder(), 'state')
    await expect(renewNow(folder)).rejects.toThrow(/root\.crt: does not exist yet; start the sidecar once/)
    expect(readdirSync(path.dirname(folder))).toEqual([])
  })

  it('changes nothing when the key of the root is lost', async () => {
    const { folder } = await openOne()
    rmSync(path.join(folder, 'root.key'))
    const before = pairIn(folder)
    await expect(renewNow(folder)).rejects.toThrow(/root\.key: is missing/)
    expect(pairIn(folder)).toEqual(before)
  })
})

async function openOne(): Promise<{ readonly folder: string; readonly keystore: Keystore }> {
  const folder = path.join(tempFolder(), 'state')
  return { folder, keystore: await open(folder) }
}

function open(folder: string, names = NAMES, now = NOW): Promise<Keystore> {
  return openKeystore({ folder, names, now })
}

function renewNow(folder: string, now = NOW): ReturnType<typeof renewLeaf> {
  return renewLeaf({ folder, names: () => OTHER_NAMES, now })
}

function leafUnder(folder: string, now: Date): IssuedCertificate {
  const root = { certPem: textIn(folder, 'root.crt'), keyPem: textIn(folder, 'root.key') }
  return issueLeaf({ root, names: NAMES, now })
}

function pairIn(folder: string): IssuedCertificate {
  return { certPem: textIn(folder, 'leaf.crt'), keyPem: textIn(folder, 'leaf.key') }
}

function put(folder: string, { certPem, keyPem }: IssuedCertificate): void {
  writeFileSync(path.join(folder, 'leaf.key'), keyPem)
  writeFileSync(path.join(folder, 'leaf.crt'), certPem)
}

function textIn(folder: string, name: string): string {
  return readFileSync(path.join(folder, name), 'utf8')
}

function isPair({ certPem, keyPem }: IssuedCertificate): boolean {
  return new X509Certificate(certPem).checkPrivateKey(createPrivateKey(keyPem))
}

// Counts from the start of the leaf's validity, an hour before it was issued.
function after(days: number): Date {
  return new Date(NOW.getTime() - 3_600_000 + days * DAY_MS)
}
