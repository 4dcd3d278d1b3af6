// Tests damaged files in the state folder, and faults of the disk.

import { execFileSync } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'

import { InvalidFileError } from '../../../src/errors/errors.ts'
import { openKeystore, type Keystore } from '../../../src/certificates/state-folder/keystore.ts'
import { asNobody, giveToNobody } from '../../fixtures/nobody.ts'
import { openssl } from '../../fixtures/openssl.ts'
import { registerKey } from '../../fixtures/own-certificate.ts'
import { mayMount } from '../../fixtures/mount.ts'
import { makeTempFolder, removeFolder, tempFolder } from '../../fixtures/temp-folder.ts'

const NOW = new Date()
const DAY_MS = 86_400_000
const FILES = ['root.crt', 'root.key', 'root.sha256', 'leaf.crt', 'leaf.key'] as const
const PUT_BACK = /restore it from a backup, or empty this folder, start again, and make every client trust/

describe('an unusable root prevents the start, with the fix', () => {
  it.each<readonly [what: string, file: string, text: (text: string) => string, reason: RegExp]>([
    ['half of a certificate', 'root.crt', half, /^holds no readable certificate: /],
    ['an empty certificate file', 'root.crt', () => '', /^holds no readable certificate: /],
    ['half of a key', 'root.key', half, /^holds no readable private key: /],
  ])('%s', async (_, file, change, reason) => {
    const folder = await damaged(file, change)
    const error = await refusalOf(open(folder))
    expect([error.file, error.reason]).toEqual([path.join(folder, file), expect.stringMatching(reason)])
    expect(error.reason).toMatch(PUT_BACK)
  })

  it('a key with a passphrase', async () => {
    const folder = await damaged('root.key', (text) => {
      const options = {
        format: 'pem',
        type: 'pkcs8',
        cipher: 'aes-256-cbc',
        passphrase: 'a passphrase',
      } as const
      return createPrivateKey(text).export(options).toString()
    })
    expect((await refusalOf(open(folder))).message).toMatch(
      /root\.key: is encrypted.*store the key unencrypted/,
    )
  })

  it('half of a marker', async () => {
    const folder = await damaged('root.sha256', half)
    const error = await refusalOf(open(folder))
    expect(error.message).toMatch(
      /root\.sha256: names another root .*restore the earlier root\.crt and root\.key/,
    )
  })

  // With each of these roots clients would refuse the leaf, and every look would issue another one.
  it.each([
    ['with an RSA key', 'rsa:2048', []],
    ['with a P-384 key', 'ec -pkeyopt ec_paramgen_curve:P-384', []],
    ['with an Ed25519 key', 'ed25519', []],
    ['that may not sign', 'ec -pkeyopt ec_paramgen_curve:P-256', ['keyUsage=digitalSignature']],
    ['that is not a CA', 'ec -pkeyopt ec_paramgen_curve:P-256', ['basicConstraints=critical,CA:FALSE']],
    [
      'that computes key identifiers in another way',
      'ec -pkeyopt ec_paramgen_curve:P-256',
      ['subjectKeyIdentifier=0102'],
    ],
  ])('a root of another program, %s', async (_, kind, extensions) => {
    const folder = path.join(tempFolder(), 'state')
    mkdirSync(folder)
    const added = extensions.map((text) => ` -addext ${text}`).join('')
    openssl(
      folder,
      `req -x509 -newkey ${kind} -nodes -keyout root.key -out root.crt -days 9 -subj /CN=x${added}`,
    )
    registerKey(readFileSync(path.join(folder, 'root.key'), 'utf8'))
    const error = await refusalOf(open(folder))
    expect(error.file).toBe(path.join(folder, 'root.crt'))
    expect(error.reason).toMatch(
      /was not issued by this program.*restore the earlier root\.crt.*SIDECAR_TLS_CERT/,
    )
    expect(readdirSync(folder)).not.toContain('leaf.crt')
  })
})

describe('a wrong clock', () => {
  it('prevents a new root, which would have expired for clients', async () => {
    const folder = path.join(tempFolder(), 'state')
    const error = await refusalOf(openKeystore({ folder, names: NAMES, now: new Date(3_600_000) }))
    expect(error.message).toBe(
      `${folder}/root.crt: is not issued while the clock of this machine says 1970-01-01T01:00:00.000Z: set the clock, ` +
        'then start again',
    )
    expect(readdirSync(folder)).toEqual([])
  })

  it('is mentioned before an expired root', async () => {
    const folder = path.join(tempFolder(), 'state')
    await open(folder)
    const now = new Date(NOW.getTime() + 4000 * DAY_MS)
    const error = await refusalOf(openKeystore({ folder, names: NAMES, now }))
    expect(error.reason).toContain(
      `: this machine's clock says ${now.toISOString()}; if the clock is wrong, set the clock; otherwise empty`,
    )
  })

  it('that is behind changes no present files, because clients with a right clock accept them', async () => {
    const folder = path.join(tempFolder(), 'state')
    const { bundle } = await open(folder)
    const early = await openKeystore({ folder, names: NAMES, now: new Date(3_600_000) })
    expect(early.bundle).toEqual(bundle)
  })
})

describe('an unreadable file prevents the start, with the fix', () => {
  it.each(FILES)('%s', async (name) => {
    const folder = await openedFolder()
    giveToNobody(folder)
    chmodSync(path.join(folder, name), 0o000)
    const error = await refusalOf(asNobody(() => open(folder)))
    expect(error.message).toBe(
      `${path.join(folder, name)}: this user has no permission to read it: change its owner to the user that runs the sidecar`,
    )
  })

  it.each(FILES)('%s is a folder', async (name) => {
    const folder = await openedFolder()
    rmSync(path.join(folder, name))
    mkdirSync(path.join(folder, name))
    const error = await refusalOf(open(folder))
    expect(error.message).toBe(`${path.join(folder, name)}: is a folder where a file should be: move it away`)
  })

  // Threat: a pipe or a device must not block a start or a stop, or fill the memory.
  it.each(FILES.flatMap((name) => [[name, 'mkfifo'] as const, [name, 'ln -s /dev/zero'] as const]))(
    '%s, made by %s',
    async (name, command) => {
      const folder = await openedFolder()
      const keystore = await open(folder)
      rmSync(path.join(folder, name))
      execFileSync('/bin/sh', ['-c', `${command} ${name}`], { cwd: folder })
      const message = `${path.join(folder, name)}: is a pipe, a device or a socket: put a regular file in its place`
      expect((await refusalOf(open(folder))).message).toBe(message)
      expect((await refusalOf(keystore.renewIfDue([], NOW))).message).toBe(message)
    },
  )
})

describe('an unusable leaf is replaced under the same root', () => {
  it.each(['leaf.crt', 'leaf.key'])('%s contains only half of its text', async (file) => {
    const folder = await damaged(file, half)
    const root = readFileSync(path.join(folder, 'root.crt'), 'utf8')
    const { issued, bundle } = await open(folder)
    expect(issued).toEqual({ root: false, leaf: true })
    expect(bundle.certPem.endsWith(root)).toBe(true)
  })
})

describe.skipIf(!mayMount())('a disk is not writable when the leaf is due', () => {
  it.each<
    readonly [what: string, spoil: (disk: string) => void, hint: (disk: string) => void, reason: RegExp]
  >([
    [
      'because it is full',
      (disk) => {
        expect(() => {
          writeFileSync(path.join(disk, 'ballast'), Buffer.alloc(1024 * 1024))
        }).toThrow('ENOSPC')
      },
      (disk) => {
        rmSync(path.join(disk, 'ballast'))
      },
      /is on a full disk: free some space$/,
    ],
    [
      'because it is read-only',
      (disk) => {
        execFileSync('mount', ['-o', 'remount,ro', disk])
      },
      (disk) => {
        execFileSync('mount', ['-o', 'remount,rw', disk])
      },
      /is on a read-only file system: mount the state folder so that it can be written$/,
    ],
  ])('%s: the leaf stays, the fix is logged, and a later look renews it', async (_, spoil, hint, reason) => {
    const disk = smallDisk()
    const folder = path.join(disk, 'state')
    const keystore = await open(folder)
    const before = [keystore.bundle, ...FILES.map((name) => readFileSync(path.join(folder, name), 'utf8'))]

    spoil(disk)
    const later = new Date(NOW.getTime() + 61 * DAY_MS)
    const error = await refusalOf(keystore.renewIfDue(NAMES, later))
    expect([error.file, error.reason]).toEqual([folder, expect.stringMatching(reason)])
    const after = [keystore.bundle, ...FILES.map((name) => readFileSync(path.join(folder, name), 'utf8'))]
    expect(after).toEqual(before)

    hint(disk)
    await expect(keystore.renewIfDue(NAMES, later)).resolves.toBeDefined()
    expect(readdirSync(folder).sort()).toEqual([...FILES].sort())
  })
})

const NAMES = [{ type: 'dns', value: 'proxy' } as const]

function open(folder: string): Promise<Keystore> {
  return openKeystore({ folder, names: NAMES, now: NOW })
}

const template = path.join(makeTempFolder(), 'state')
let opened: Promise<Keystore> | undefined

afterAll(() => {
  removeFolder(path.dirname(template))
})

/** A state folder with a root and a leaf. It is a copy, because new keys take processor time. */
async function openedFolder(): Promise<string> {
  await (opened ??= open(template))
  const folder = path.join(tempFolder(), 'state')
  cpSync(template, folder, { recursive: true })
  return folder
}

async function damaged(file: string, change: (text: string) => string): Promise<string> {
  const folder = await openedFolder()
  const damagedFile = path.join(folder, file)
  registerKey(readFileSync(path.join(folder, 'root.key'), 'utf8'))
  writeFileSync(damagedFile, change(readFileSync(damagedFile, 'utf8')))
  return folder
}

function half(text: string): string {
  return text.slice(0, text.length / 2)
}

function smallDisk(): string {
  const disk = path.join(tempFolder(), 'disk')
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', disk])
  onTestFinished(() => {
    execFileSync('umount', [disk])
  })
  return disk
}

async function refusalOf(promise: Promise<unknown>): Promise<InvalidFileError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof InvalidFileError) return error
  throw new Error('There was no refusal.', { cause: error })
}
