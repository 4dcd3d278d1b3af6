import { X509Certificate } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'

import { createLog } from '../../../src/observability/log.ts'
import { issueLeaf, issueRoot } from '../../../src/pki/issue.ts'
import { openKeystore, type Keystore } from '../../../src/certificates/state-folder/keystore.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const DAY_MS = 86_400_000
const NAMES: readonly SubjectAltName[] = [
  { type: 'dns', value: 'proxy' },
  { type: 'ip', value: '::1' },
]
const MORE_NAMES: readonly SubjectAltName[] = [...NAMES, { type: 'dns', value: 'more' }]
const ORDER = ['root.key', 'root.crt', 'root.sha256', 'leaf.key', 'leaf.crt'] as const

type FileName = (typeof ORDER)[number]

describe('the first start', () => {
  it('issues a root and a leaf under it', async () => {
    const folder = stateFolder()
    const { root, bundle, issued } = await open(folder)
    expect(issued).toEqual({ root: true, leaf: true })
    expect(root.file).toBe(path.join(folder, 'root.crt'))
    expect(root.fingerprint).toBe(new X509Certificate(root.pem).fingerprint256)
    expect(bundle.leaf.subjectAltNames).toEqual(NAMES)
    expect(bundle.certPem.endsWith(root.pem)).toBe(true)
    expect(new X509Certificate(bundle.certPem).checkIssued(new X509Certificate(root.pem))).toBe(true)
  })

  it('writes five files, and only the owner can read the keys', async () => {
    const folder = stateFolder()
    const { root } = await open(folder)
    expect(readdirSync(folder).sort()).toEqual([...ORDER].sort())
    expect(modeOf(folder)).toBe(0o700)
    expect(ORDER.map((name) => modeOf(path.join(folder, name)))).toEqual([0o600, 0o644, 0o644, 0o600, 0o644])
    expect(read(folder, 'root.sha256')).toBe(`${root.fingerprint}\n`)
  })

  it('works in a folder that exists already', async () => {
    const folder = stateFolder()
    mkdirSync(folder, { mode: 0o750 })
    await open(folder)
    expect(modeOf(folder)).toBe(0o750)
  })
})

describe('a later start', () => {
  it('keeps root and leaf, byte for byte', async () => {
    const folder = stateFolder()
    const first = await open(folder)
    const before = snapshot(folder)
    const second = await open(folder)
    expect(second.issued).toEqual({ root: false, leaf: false })
    expect(second.root).toEqual(first.root)
    expect(second.bundle).toEqual(first.bundle)
    expect(snapshot(folder)).toEqual(before)
  })

  it.each([
    ['at two thirds of its life', NAMES, 61],
    ['when it has expired', NAMES, 91],
    ['for other names', MORE_NAMES, 0],
  ])('issues another leaf under the same root: %s', async (_, names, days) => {
    const folder = stateFolder()
    const first = await open(folder)
    const second = await open(folder, names, days)
    expect(second.issued).toEqual({ root: false, leaf: true })
    expect(second.root).toEqual(first.root)
    expect(second.bundle.leaf.subjectAltNames).toEqual(names)
    expect(second.bundle.leaf.notBefore).toEqual(new Date(NOW.getTime() + days * DAY_MS - 3_600_000))
  })

  it.each<readonly [string, (folder: string) => void]>([
    ['its key is missing', removing('leaf.key')],
    ['its certificate is missing', removing('leaf.crt')],
    ['both are missing', removing('leaf.key', 'leaf.crt')],
    ['its certificate is broken', writing('leaf.crt', 'nonsense')],
    ['its key is broken', writing('leaf.key', '')],
    ['its key does not belong to it', writing('leaf.key', issueRoot({ now: NOW }).keyPem)],
    ['another root signed it', replaceLeafByForeignOne],
  ])('issues another leaf under the same root when %s', async (_, damage) => {
    const folder = stateFolder()
    const first = await open(folder)
    damage(folder)
    const second = await open(folder)
    expect(second.issued).toEqual({ root: false, leaf: true })
    expect(second.root).toEqual(first.root)
    await expect(open(folder)).resolves.toMatchObject({ issued: { root: false, leaf: false } })
  })
})

describe('a crash during the first start', () => {
  it.each([
    ['before the root', 0, { root: true, leaf: true }],
    ['after the key of a root that no client knows', 1, { root: true, leaf: true }],
    ['after the root', 2, { root: false, leaf: true }],
    ['after the marker', 3, { root: false, leaf: true }],
    ['after the key of the leaf', 4, { root: false, leaf: true }],
  ])('is repaired by the next start: %s', async (_, written, issued) => {
    const folder = stateFolder()
    const first = await open(folder)
    removing(...ORDER.slice(written))(folder)
    const second = await open(folder)
    expect(second.issued).toEqual(issued)
    expect(second.root.fingerprint === first.root.fingerprint).toBe(!issued.root)
    expect(read(folder, 'root.sha256')).toBe(`${second.root.fingerprint}\n`)
    await expect(open(folder)).resolves.toMatchObject({ issued: { root: false, leaf: false } })
  })

  it('leaves no temporary file that prevents a start', async () => {
    const folder = stateFolder()
    mkdirSync(folder)
    writeFileSync(path.join(folder, 'root.key.123456'), 'half a k')
    await expect(open(folder)).resolves.toMatchObject({ issued: { root: true, leaf: true } })
  })
})

describe('a key that others can read', () => {
  it('gets a safe mode, with a warning that names the file', async () => {
    const folder = stateFolder()
    await open(folder)
    chmodSync(path.join(folder, 'root.key'), 0o644)
    chmodSync(path.join(folder, 'leaf.key'), 0o640)
    const destination = new PassThrough()
    const log = createLog({ level: 'warn', format: 'json', destination })
    await openKeystore({ folder, names: NAMES, now: NOW, log })
    expect([modeOf(path.join(folder, 'root.key')), modeOf(path.join(folder, 'leaf.key'))]).toEqual([
      0o600, 0o600,
    ])
    const written = String(destination.read())
    expect(written).toContain(`"file":"${path.join(folder, 'root.key')}","mode":"0644"`)
    expect(written).toContain(`"file":"${path.join(folder, 'leaf.key')}","mode":"0640"`)
  })
})

function stateFolder(): string {
  return path.join(tempFolder(), 'state')
}

async function open(folder: string, names = NAMES, daysLater = 0): Promise<Keystore> {
  return openKeystore({ folder, names, now: new Date(NOW.getTime() + daysLater * DAY_MS) })
}

function removing(...names: readonly FileName[]): (folder: string) => void {
  return (folder) => {
    for (const name of names) rmSync(path.join(folder, name))
  }
}

function writing(name: FileName, text: string): (folder: string) => void {
  return (folder) => {
    writeFileSync(path.join(folder, name), text)
  }
}

function replaceLeafByForeignOne(folder: string): void {
  const { certPem, keyPem } = issueLeaf({ root: issueRoot({ now: NOW }), names: NAMES, now: NOW })
  writing('leaf.crt', certPem)(folder)
  writing('leaf.key', keyPem)(folder)
}

function read(folder: string, name: FileName): string {
  return readFileSync(path.join(folder, name), 'utf8')
}

function snapshot(folder: string): readonly string[] {
  return ORDER.map((name) => read(folder, name))
}

function modeOf(file: string): number {
  return statSync(file).mode & 0o777
}
