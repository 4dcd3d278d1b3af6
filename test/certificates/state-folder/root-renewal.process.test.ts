import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'

import { InvalidFileError } from '../../../src/errors/errors.ts'
import { issueLeaf, issueRoot } from '../../../src/pki/issue.ts'
import { openKeystore, renewLeaf, renewRoot } from '../../../src/certificates/state-folder/keystore.ts'
import { readAuthority, readRoot } from '../../../src/certificates/state-folder/stored-state.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import { certificatesIn } from '../../../src/pki/pem.ts'
import { accepts } from '../../fixtures/tls-accepts.ts'
import { openssl } from '../../fixtures/openssl.ts'
import { findProgram } from '../../fixtures/find-program.ts'
import { repetitions } from '../../fixtures/repetitions.ts'
import { makeTempFolder, removeFolder, tempFolder } from '../../fixtures/temp-folder.ts'

const hasOpenssl = findProgram('openssl') !== undefined
const NOW = new Date()
const DAY_MS = 86_400_000
const NAMES: readonly SubjectAltName[] = [dns('localhost'), { type: 'ip', value: '10.0.0.1' }]

describe('a renewed root', () => {
  it('has a new name and a new key, and the previous key is deleted', async () => {
    const folder = stateFolder()
    const before = await open(folder)
    const oldKey = read(folder, 'root.key')
    const { root, earlier, leaf, file } = await renew(folder)
    expect(nameOf(root.pem)).not.toBe(nameOf(before.root.pem))
    expect(earlier).toMatchObject([{ fingerprint: before.root.fingerprint, notAfter: before.root.notAfter }])
    expect(file).toBe(path.join(folder, 'leaf.crt'))
    expect(leaf.fingerprint).toBe(new X509Certificate(read(folder, 'leaf.crt')).fingerprint256)
    expect(readdirSync(folder).toSorted()).toEqual(
      ['cross.crt', 'leaf.crt', 'leaf.key', 'root.crt', 'root.key', 'root.sha256'].toSorted(),
    )
    for (const name of readdirSync(folder)) expect(read(folder, name)).not.toBe(oldKey)
    expect(modeOf(folder, 'root.key')).toBe(0o600)
    expect(modeOf(folder, 'cross.crt')).toBe(0o644)
    await expect(readRoot({ folder })).resolves.toEqual(root)
    await expect(open(folder)).resolves.toMatchObject({ root, issued: { root: false, leaf: false } })
  })

  it('has a cross certificate from each earlier root, and is not part of the served chain', async () => {
    const folder = stateFolder()
    const first = (await open(folder)).root
    const second = (await renew(folder)).root
    const { root: third, earlier } = await renew(folder)
    expect(earlier.map(({ fingerprint }) => fingerprint)).toEqual([second.fingerprint, first.fingerprint])
    const [leaf, ...crosses] = certificatesIn(read(folder, 'leaf.crt')).map((pem) => new X509Certificate(pem))
    expect([leaf?.issuer, ...crosses.map(({ issuer }) => issuer)]).toEqual(
      [third, second, first].map(({ pem }) => nameOf(pem)),
    )
    expect(crosses.map(({ subject }) => subject)).toEqual([third, second].map(({ pem }) => nameOf(pem)))
  })

  it('keeps the names of the leaf, also when the settings contain other names', async () => {
    const folder = stateFolder()
    await open(folder)
    const { leaf } = await renew(folder, { names: [dns('other.example')] })
    expect(leaf.subjectAltNames).toEqual(NAMES)
  })

  it('permits the names in the present settings, and the names of the leaf', async () => {
    const folder = stateFolder()
    await open(folder)
    const narrow = await renew(folder, { constrainTo: [dns('proxy')] })
    expect(narrow.root.permitted).toEqual([dns('proxy'), ...NAMES])
    expect((await renew(folder)).root.permitted).toBeUndefined()
  })

  it('is renewed by several processes at once, one after the other', async () => {
    const folder = stateFolder()
    const { root } = await open(folder)
    await Promise.all([1, 2, 3].map(() => renew(folder)))
    const { bundle } = await open(folder)
    expect((await readAuthority({ folder }, NOW)).earlier).toHaveLength(3)
    expect(await accepts(root.pem, bundle)).toBe(true)
  })
})

it('readers find a whole folder while roots are renewed', async () => {
  const folder = stateFolder()
  const keystore = await open(folder)
  const first = keystore.root.pem
  const progress = { isOver: false, looks: 0 }
  const looking = [
    () => readRoot({ folder }),
    () => readAuthority({ folder }, NOW),
    () => open(folder),
    () => keystore.renewIfDue(NAMES, NOW),
  ].map(async (look) => {
    for (; !progress.isOver; progress.looks++) {
      await look()
      // Otherwise the looks would take the lock again and again before a renewal that waits for it.
      await pause(5)
    }
  })
  const least = repetitions({ usual: 2, stress: 5 })
  for (let count = 0; count < least || (count < 30 && progress.looks <= 10); count++) await renew(folder)
  progress.isOver = true
  await Promise.all(looking)
  expect(progress.looks).toBeGreaterThan(10)
  await keystore.renewIfDue(NAMES, NOW)
  expect(keystore.root).toEqual(await readRoot({ folder }))
  expect(await accepts(first, keystore.bundle)).toBe(true)
})

it('a reader that comes between two writes of a renewal reads again', async () => {
  const folder = stateFolder()
  const keystore = await open(folder)
  const marker = read(folder, 'root.sha256')
  const { root } = await renew(folder)
  writeFileSync(path.join(folder, 'root.sha256'), marker)
  const looking = Promise.all([
    readRoot({ folder }),
    readAuthority({ folder }, NOW),
    keystore.renewIfDue(NAMES, NOW),
  ])
  await pause(100)
  writeFileSync(path.join(folder, 'root.sha256'), `${root.fingerprint}\n`)
  await expect(looking).resolves.toMatchObject([root, { root }, {}])
})

describe.skipIf(!hasOpenssl)('a cross certificate', () => {
  it('equals the new root except for its signature and its issuer', async () => {
    const folder = stateFolder()
    await open(folder, { constrainTo: [...NAMES, dns('old.example')] })
    await renew(folder, { constrainTo: NAMES })
    const [cross, signer] = certificatesIn(read(folder, 'cross.crt')).map(textOf)
    const root = textOf(read(folder, 'root.crt'))
    for (const part of [
      /Subject: .*/,
      /pub:[^A-Z]+/,
      /Basic Constraints: critical\s+CA:TRUE\n/,
      /Key Usage: .*\n.*/,
      /Subject Key Identifier: .*\n.*/,
      /Name Constraints: critical\s+Permitted:\s+DNS:localhost\s+IP:10.*/,
    ]) {
      expect(part.exec(cross ?? '')?.[0]).toBe(part.exec(root)?.[0])
      expect(cross).toMatch(part)
    }
    const signerKey = /Subject Key Identifier: \s+(.*)\n/.exec(signer ?? '')?.[1]
    expect(/Authority Key Identifier: \s+(.*)\n/.exec(cross ?? '')?.[1]).toBe(signerKey)
    expect(/Issuer: (.*)/.exec(cross ?? '')?.[1]).toBe(/Subject: (.*)/.exec(signer ?? '')?.[1])
  })
})

describe('the leaf under a renewed root', () => {
  it('keeps its cross certificates when it is renewed', async () => {
    const { folder, firstPem } = await renewedFolder(1)
    await renewLeaf({ folder, names: () => NAMES, now: NOW })
    expect(certificatesIn(read(folder, 'leaf.crt'))).toHaveLength(2)
    expect(await accepts(firstPem, (await open(folder)).bundle)).toBe(true)
  })

  it.each<readonly [string, (folder: string) => void]>([
    [
      'lacks the cross certificates',
      (folder) => {
        cut(folder, 1)
      },
    ],
    [
      'lacks some cross certificates',
      (folder) => {
        cut(folder, 2)
      },
    ],
    [
      'has the root instead of the cross certificates',
      (folder) => {
        writeFileSync(
          path.join(folder, 'leaf.crt'),
          firstOf(read(folder, 'leaf.crt')) + read(folder, 'root.crt'),
        )
      },
    ],
    [
      'has the root besides the cross certificates',
      (folder) => {
        writeFileSync(path.join(folder, 'leaf.crt'), read(folder, 'leaf.crt') + read(folder, 'root.crt'))
      },
    ],
  ])('is replaced when its chain %s', async (_, damage) => {
    const { folder, firstPem } = await renewedFolder(2)
    damage(folder)
    const { bundle, issued } = await open(folder)
    expect(issued).toEqual({ root: false, leaf: true })
    expect(await accepts(firstPem, bundle)).toBe(true)
  })

  it('is replaced when an earlier root has expired, and its chain no longer leads to that root', async () => {
    const folder = stateFolder()
    const first = await open(folder)
    // The second root ends three thousand days after the first.
    const later = days(3000)
    await open(folder, { now: later })
    await renew(folder, { now: later })
    const end = first.root.notAfter
    const shortBefore = new Date(end.getTime() - DAY_MS)
    const keystore = await open(folder, { now: shortBefore })
    expect(certificatesIn(keystore.bundle.certPem)).toHaveLength(2)
    const { fingerprint } = keystore.bundle.leaf
    const renewed = await keystore.renewIfDue(NAMES, end)
    expect(renewed?.leaf.fingerprint).not.toBe(fingerprint)
    expect(certificatesIn(keystore.bundle.certPem).at(-1)).toBe(keystore.root.pem.trim())
    await expect(keystore.renewIfDue(NAMES, end)).resolves.toBeUndefined()
    expect((await readAuthority({ folder }, end)).earlier).toEqual([])
    // A clock that was ahead for a moment must not break clients for ever.
    await keystore.renewIfDue(NAMES, shortBefore)
    expect(certificatesIn(keystore.bundle.certPem)).toHaveLength(2)
  })

  it('contains only names that every root permits, and refuses other configured names with the fix', async () => {
    const folder = stateFolder()
    await open(folder, { constrainTo: NAMES })
    await renew(folder)
    const asked: unknown[] = []
    const names = (root: { readonly permitted?: unknown }) => {
      asked.push(root.permitted)
      return NAMES
    }
    const keystore = await openKeystore({ folder, names, now: NOW })
    expect(asked).toContainEqual(NAMES)
    expect([keystore.root.permitted, keystore.narrowedRoot.permitted]).toEqual([undefined, NAMES])
    await expect(open(folder, { names: [...NAMES, dns('new.example')] })).rejects.toThrow(
      /cross\.crt: an earlier root permits only localhost, 10\.0\.0\.1 .* Until 20.*Z, clients that trust only that root refuse a leaf for new\.example: remove .* from SIDECAR_HOSTS; or, once every client trusts the current root, remove cross\.crt and leaf\.crt/,
    )
    rmSync(path.join(folder, 'cross.crt'))
    rmSync(path.join(folder, 'leaf.crt'))
    const { bundle, root } = await open(folder, { names: [...NAMES, dns('new.example')] })
    expect(bundle.certPem.endsWith(root.pem)).toBe(true)
  })
})

describe('a renewal of the root is refused and changes nothing', () => {
  it.each<readonly [string, (folder: string) => void, string, RegExp]>([
    [
      'when the root is lost',
      (folder) => {
        rmSync(path.join(folder, 'root.crt'))
      },
      'root.crt',
      /missing.*leaf\.crt holds it too/,
    ],
    [
      'when its key is lost',
      (folder) => {
        rmSync(path.join(folder, 'root.key'))
      },
      'root.key',
      /missing/,
    ],
    [
      'when its key belongs to another root',
      (folder) => {
        writeFileSync(path.join(folder, 'root.key'), issueRoot({ now: NOW }).keyPem)
      },
      'root.key',
      /does not belong to/,
    ],
    [
      'when the marker names another root',
      (folder) => {
        writeFileSync(path.join(folder, 'root.sha256'), 'AB:CD')
      },
      'root.sha256',
      /names another root/,
    ],
    [
      'when the cross certificates lead to another root',
      (folder) => {
        writeFileSync(path.join(folder, 'cross.crt'), issueRoot({ now: NOW }).certPem)
      },
      'cross.crt',
      /does not lead to .*root\.crt: restore the file.*remove cross\.crt and leaf\.crt/,
    ],
  ])('%s', async (_, damage, file, reason) => {
    const { folder } = await renewedFolder(0)
    damage(folder)
    await expectRefusal(folder, NOW, { file, reason })
  })

  it('when the root has expired', async () => {
    const folder = stateFolder()
    const { root } = await open(folder)
    await expectRefusal(folder, root.notAfter, {
      file: 'root.crt',
      reason: /expired on .*trust the new root/,
    })
  })

  it('when the clock shows a time before this program existed', async () => {
    const { folder } = await renewedFolder(0)
    await expectRefusal(folder, new Date('1970-01-02'), {
      file: 'root.crt',
      reason: /clock of this machine says 1970.*set the clock/,
    })
  })

  it('when there is no root yet', async () => {
    const folder = stateFolder()
    await expect(renew(folder)).rejects.toThrow(/root\.crt: does not exist yet; start the sidecar once/)
    expect(readdirSync(path.dirname(folder))).toEqual([])
  })

  it('when eight earlier roots lead to it already', async () => {
    const { folder } = await renewedFolder(2)
    for (let count = 2; count < 8; count++) await renew(folder)
    await expectRefusal(folder, NOW, {
      file: 'root.crt',
      reason: /follows 8 earlier roots.*Wait until the oldest root expires on 20/,
    })
  })

  it.skipIf(!hasOpenssl)('when the root is from an earlier version and may sign only leaves', async () => {
    const folder = await folderOfEarlierVersion()
    await expectRefusal(folder, NOW, {
      file: 'root.crt',
      reason: /pathlen.*Nothing was changed\. To get a new root, empty this folder/,
    })
    await expect(open(folder)).resolves.toMatchObject({ issued: { root: false, leaf: false } })
  })
})

describe.skipIf(!hasOpenssl)('a root of another program', () => {
  it.each(['rsa:2048', 'ed25519'])(
    'with a key of type %s is not renewed, and its leaf is served as before',
    async (key) => {
      const folder = folderOfAnotherProgram(key)
      await expect(open(folder)).resolves.toMatchObject({ issued: { root: false, leaf: false } })
      await expectRefusal(folder, NOW, {
        file: 'root.crt',
        reason: /was not issued by this program.*SIDECAR_TLS_CERT/,
      })
      await expect(open(folder)).resolves.toMatchObject({ issued: { root: false, leaf: false } })
    },
  )
})

describe('cross certificates in the state folder', () => {
  it.each(['cross.crt', 'leaf.crt'])(
    'are no copies of a lost root: the error does not mention %s',
    async (copy) => {
      const { folder } = await renewedFolder(1)
      rmSync(path.join(folder, 'root.crt'))
      await expect(readRoot({ folder })).rejects.toThrow(/root\.crt: is missing/)
      await expect(readRoot({ folder })).rejects.not.toThrow(copy)
    },
  )

  it('must exist when the leaf needs them', async () => {
    const { folder } = await renewedFolder(1)
    rmSync(path.join(folder, 'cross.crt'))
    const before = snapshot(folder)
    await expect(open(folder)).rejects.toThrow(
      /cross\.crt: is missing.*restore it.*once every client trusts the current root/,
    )
    expect(snapshot(folder)).toEqual(before)
  })

  it('must not be damaged, incomplete or from another root', async () => {
    const { folder } = await renewedFolder(2)
    const [one = '', two = '', three = '', four = ''] = certificatesIn(read(folder, 'cross.crt'))
    const foreign = issueLeaf({ root: issueRoot({ now: NOW }), names: NAMES, now: NOW }).certPem
    const cases = [
      [three, four],
      [one, two, three],
      [one, four, three, four],
      [one, two, three, two],
      [foreign, two],
      [''],
    ].map(async (parts) => {
      const damaged = copyOf(folder)
      writeFileSync(path.join(damaged, 'cross.crt'), parts.join('\n'))
      await expect(open(damaged)).rejects.toThrow(/cross\.crt: does not lead to/)
    })
    await Promise.all(cases)
  })

  it('are refused with the fix when the files of an interrupted renewal are damaged', async () => {
    const { folder } = await renewedFolder(0)
    const [root, key] = [read(folder, 'root.crt'), read(folder, 'root.key')]
    const cancelHint =
      /: restore matching files from a backup, or remove .*next-root\.crt and .*next-root\.key/
    const { certPem, keyPem } = issueRoot({ now: NOW })
    const cases = [
      ['nonsense', keyPem, /next-root\.crt: belongs to another root/],
      ['-----BEGIN CERTIFICATE-----', keyPem, /next-root\.crt: holds no readable certificate/],
      [certPem + root + root, 'nonsense', /next-root\.key: holds no readable private key/],
      [certPem + root + root, issueRoot({ now: NOW }).keyPem, /next-root\.key: does not belong to/],
      [certPem + root + root, keyPem, /next-root\.crt: does not lead to .*root\.crt/],
    ] as const
    const refusals = cases.map(async ([nextCert, nextKey, reason]) => {
      const damaged = copyOf(folder)
      writeFileSync(path.join(damaged, 'next-root.crt'), nextCert)
      writeFileSync(path.join(damaged, 'next-root.key'), nextKey)
      await expect(open(damaged)).rejects.toThrow(reason)
      await expect(renew(damaged)).rejects.toThrow(cancelHint)
      expect([read(damaged, 'root.crt'), read(damaged, 'root.key')]).toEqual([root, key])
      rmSync(path.join(damaged, 'next-root.crt'))
      await expect(open(damaged)).resolves.toMatchObject({ issued: { root: false, leaf: false } })
      expect(readdirSync(damaged)).toHaveLength(5)
    })
    await Promise.all(refusals)
  })

  it('do not prevent an operator from restoring the previous root', async () => {
    const folder = stateFolder()
    await open(folder)
    const backup = ['root.crt', 'root.key', 'root.sha256'].map((name) => [name, read(folder, name)] as const)
    await renew(folder)
    for (const [name, text] of backup) writeFileSync(path.join(folder, name), text)
    const { root, bundle } = await open(folder)
    expect(bundle.certPem.endsWith(root.pem)).toBe(true)
    expect((await renew(folder)).earlier.map(({ fingerprint }) => fingerprint)).toEqual([root.fingerprint])
  })

  it('are not taken from the interrupted renewal of another root', async () => {
    const [folder, other] = [stateFolder(), stateFolder()]
    await open(folder)
    await open(other)
    await renew(other)
    const certificates = [read(other, 'root.crt'), read(other, 'cross.crt')]
    writeFileSync(path.join(folder, 'next-root.crt'), certificates.join(''))
    writeFileSync(path.join(folder, 'next-root.key'), read(other, 'root.key'))
    const before = snapshot(folder)
    await expect(open(folder)).rejects.toThrow(
      /next-root\.crt: belongs to another root than .*root\.crt: .* or remove .*next-root\.crt and .*next-root\.key/,
    )
    expect(snapshot(folder)).toEqual(before)
  })
})

interface Renewed {
  readonly folder: string
  readonly firstPem: string
}

const templates = new Map<number, Promise<Renewed>>()

afterAll(async () => {
  for (const { folder } of await Promise.all(templates.values())) removeFolder(path.dirname(folder))
})

/** A state folder whose root was renewed this often. It is a copy, because a renewal takes much processor time. */
async function renewedFolder(renewals: 0 | 1 | 2): Promise<Renewed> {
  const template = templates.get(renewals) ?? makeTemplate(renewals)
  templates.set(renewals, template)
  const { folder, firstPem } = await template
  return { folder: copyOf(folder), firstPem }
}

async function makeTemplate(renewals: number): Promise<Renewed> {
  const folder = path.join(makeTempFolder(), 'state')
  const { root } = await open(folder)
  for (let count = 0; count < renewals; count++) await renew(folder)
  return { folder, firstPem: root.pem }
}

interface Options {
  readonly now?: Date
  readonly names?: readonly SubjectAltName[]
  readonly constrainTo?: readonly SubjectAltName[]
}

function open(folder: string, { now = NOW, names = NAMES, constrainTo }: Options = {}) {
  return openKeystore({ folder, names, now, constrainTo })
}

function renew(folder: string, { now = NOW, names = NAMES, constrainTo }: Options = {}) {
  return renewRoot({ folder, names: () => names, now, constrainTo })
}

async function expectRefusal(
  folder: string,
  now: Date,
  { file, reason }: { readonly file: string; readonly reason: RegExp },
): Promise<void> {
  const before = snapshot(folder)
  const error: unknown = await renew(folder, { now }).catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(InvalidFileError)
  expect(error).toMatchObject({
    file: path.join(folder, file),
    reason: expect.stringMatching(reason) as string,
  })
  expect(snapshot(folder)).toEqual(before)
}

/** A folder with a root of a version that could not renew roots. */
async function folderOfEarlierVersion(): Promise<string> {
  const folder = stateFolder()
  await open(folder)
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key'
  const extensions =
    '-addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign'
  openssl(folder, `req -x509 ${key} -days 99 -subj /CN=old ${extensions} -out root.crt`)
  for (const name of ['root.sha256', 'leaf.key', 'leaf.crt']) rmSync(path.join(folder, name))
  await open(folder)
  return folder
}

/** A folder with a root of another key type, and a leaf under it that clients accept. */
function folderOfAnotherProgram(key: string): string {
  const folder = tempFolder()
  const authority = '-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign'
  openssl(
    folder,
    `req -x509 -newkey ${key} -nodes -days 99 -subj /CN=corp ${authority} -keyout root.key -out root.crt`,
  )
  const ec = '-newkey ec -pkeyopt ec_paramgen_curve:P-256'
  openssl(folder, `req ${ec} -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr`)
  const names = NAMES.map(({ type, value }) => `${type === 'ip' ? 'IP' : 'DNS'}:${value}`)
  writeFileSync(path.join(folder, 'names'), `subjectAltName=${names.join()}`)
  openssl(
    folder,
    'x509 -req -in leaf.csr -CA root.crt -CAkey root.key -set_serial 1 -days 80 -extfile names -out leaf.crt',
  )
  for (const name of ['leaf.csr', 'names']) rmSync(path.join(folder, name))
  writeFileSync(path.join(folder, 'leaf.crt'), read(folder, 'leaf.crt') + read(folder, 'root.crt'))
  for (const name of ['root.key', 'leaf.key']) chmodSync(path.join(folder, name), 0o600)
  return folder
}

function stateFolder(): string {
  return path.join(tempFolder(), 'state')
}

function copyOf(folder: string): string {
  const copy = stateFolder()
  cpSync(folder, copy, { recursive: true })
  return copy
}

function dns(value: string): SubjectAltName {
  return { type: 'dns', value }
}

function days(count: number): Date {
  return new Date(NOW.getTime() + count * DAY_MS)
}

function read(folder: string, name: string): string {
  return readFileSync(path.join(folder, name), 'utf8')
}

function snapshot(folder: string): readonly (readonly [string, string])[] {
  return readdirSync(folder).map((name) => [name, read(folder, name)])
}

function modeOf(folder: string, name: string): number {
  return statSync(path.join(folder, name)).mode & 0o777
}

function nameOf(pem: string): string {
  return new X509Certificate(pem).subject
}

function firstOf(pem: string): string {
  return `${certificatesIn(pem)[0] ?? ''}\n`
}

/** Keeps this many certificates in the chain of the leaf. */
function cut(folder: string, count: number): void {
  const kept = certificatesIn(read(folder, 'leaf.crt')).slice(0, count)
  writeFileSync(path.join(folder, 'leaf.crt'), `${kept.join('\n')}\n`)
}

function textOf(pem: string): string {
  return execFileSync('openssl', ['x509', '-noout', '-text'], { input: pem, encoding: 'utf8' })
}
