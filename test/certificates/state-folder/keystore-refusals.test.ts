import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'

import { InvalidFileError } from '../../../src/errors/errors.ts'
import { issueRoot } from '../../../src/pki/issue.ts'
import { openKeystore, type Keystore } from '../../../src/certificates/state-folder/keystore.ts'
import { readRoot } from '../../../src/certificates/state-folder/stored-state.ts'
import { asNobody, giveToNobody } from '../../fixtures/nobody.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const DAY_MS = 86_400_000

describe('a start is refused, with the fix', () => {
  it.each<readonly [string, (folder: string) => void, string, RegExp]>([
    [
      'the root is lost',
      removing('root.crt'),
      'root.crt',
      /missing.*backup \(leaf\.crt holds it too.*trust the new root/,
    ],
    [
      'root and leaf are lost, and the marker remains',
      removing('root.crt', 'root.key', 'leaf.key', 'leaf.crt'),
      'root.crt',
      /missing.*backup, or empty/,
    ],
    [
      'the root is lost, and a leaf remains',
      removing('root.crt', 'root.key', 'root.sha256'),
      'root.crt',
      /missing/,
    ],
    ['the key of the root is lost', removing('root.key'), 'root.key', /missing.*backup, or empty/],
    [
      'only the root remains',
      removing('root.key', 'root.sha256', 'leaf.key', 'leaf.crt'),
      'root.key',
      /missing/,
    ],
    [
      'the key belongs to another root',
      writing('root.key', issueRoot({ now: NOW }).keyPem),
      'root.key',
      /does not belong to .*root\.crt: restore a matching/,
    ],
    [
      'another root was put into the folder',
      putForeignRoot,
      'root.sha256',
      /names another root \([0-9A-F:]{95}\).*\([0-9A-F:]{95}\): restore the earlier root\.crt and root\.key/,
    ],
    ['the root is broken', writing('root.crt', ''), 'root.crt', /no readable certificate/],
    ['the key of the root is broken', writing('root.key', 'nonsense'), 'root.key', /no readable private key/],
    ['the marker is broken', writing('root.sha256', ''), 'root.sha256', /names another root/],
    [
      'a folder is in the place of the root',
      puttingAFolder('root.crt'),
      'root.crt',
      /is a folder where a file should be/,
    ],
  ])('when %s', async (_, damage, file, reason) => {
    const folder = stateFolder()
    await open(folder)
    damage(folder)
    const before = readdirSync(folder)
    const error = await refusalOf(open(folder))
    expect(error.file).toBe(path.join(folder, file))
    expect(error.reason).toMatch(reason)
    expect(readdirSync(folder)).toEqual(before)
  })

  it('when the root has expired', async () => {
    const folder = stateFolder()
    await open(folder)
    const error = await refusalOf(open(folder, 3651))
    expect(error.message).toMatch(/root\.crt: expired on 2039-12-29T23:00:00\.000Z: .*trust the new root/)
  })

  it('when the folder is a file', async () => {
    const folder = stateFolder()
    writeFileSync(folder, '')
    expect((await refusalOf(open(folder))).message).toBe(
      `${folder}: is a file where the state folder should be: move it away, or choose another folder`,
    )
    const below = path.join(folder, 'state')
    expect((await refusalOf(open(below))).message).toContain(
      'has a file in its path where a folder should be',
    )
  })

  it('when the root is not readable', async () => {
    const folder = stateFolder()
    await open(folder)
    giveToNobody(folder)
    chmodSync(path.join(folder, 'root.crt'), 0o000)
    const error = await refusalOf(asNobody(() => open(folder)))
    expect(error.file).toBe(path.join(folder, 'root.crt'))
    expect(error.reason).toContain('this user has no permission to read it')
  })

  it('when the folder is not writable', async () => {
    const folder = stateFolder()
    mkdirSync(folder)
    giveToNobody(folder)
    forbidWriting(folder)
    const error = await refusalOf(asNobody(() => open(folder)))
    expect(error.file).toBe(folder)
    expect(error.reason).toContain('this user has no permission to write to it')
  })
})

describe('a folder that is not writable', () => {
  it('is usable while nothing is due', async () => {
    const folder = stateFolder()
    await open(folder)
    giveToNobody(folder)
    forbidWriting(folder)
    await expect(asNobody(() => open(folder))).resolves.toMatchObject({
      issued: { root: false, leaf: false },
    })
  })
})

describe('the root for commands', () => {
  it('is read without issuing or writing anything', async () => {
    const folder = stateFolder()
    const { root } = await open(folder)
    removing('root.sha256', 'root.key', 'leaf.key')(folder)
    const before = readdirSync(folder)
    await expect(readRoot({ folder })).resolves.toEqual(root)
    expect(readdirSync(folder)).toEqual(before)
  })

  it('is readable for a user without access to the keys', async () => {
    const folder = stateFolder()
    const { root } = await open(folder)
    chmodSync(path.dirname(folder), 0o755)
    chmodSync(folder, 0o755)
    await expect(asNobody(() => readRoot({ folder }))).resolves.toEqual(root)
  })

  it('does not exist before the first start, and reading it creates no folder', async () => {
    const folder = stateFolder()
    expect((await refusalOf(readRoot({ folder }))).message).toBe(
      `${folder}/root.crt: does not exist yet; start the sidecar once: it issues its root at the first start`,
    )
    expect(readdirSync(path.dirname(folder))).toEqual([])
  })

  it('is reported as lost when its file is missing', async () => {
    const folder = stateFolder()
    await open(folder)
    removing('root.crt')(folder)
    expect((await refusalOf(readRoot({ folder }))).reason).toContain(
      'is missing, and clients may trust this root',
    )
  })

  it('is refused when the marker names another root', async () => {
    const folder = stateFolder()
    await open(folder)
    putForeignRoot(folder)
    expect((await refusalOf(readRoot({ folder }))).reason).toContain('names another root')
  })

  it('is refused when the folder is a file', async () => {
    const folder = stateFolder()
    writeFileSync(folder, '')
    expect((await refusalOf(readRoot({ folder }))).reason).toContain('has a file in its path')
  })
})

function stateFolder(): string {
  return path.join(tempFolder(), 'state')
}

async function open(folder: string, daysLater = 0): Promise<Keystore> {
  const now = new Date(NOW.getTime() + daysLater * DAY_MS)
  return openKeystore({ folder, names: [{ type: 'dns', value: 'proxy' }], now })
}

async function refusalOf(promise: Promise<unknown>): Promise<InvalidFileError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof InvalidFileError) return error
  throw new Error('There was no refusal.', { cause: error })
}

function removing(...names: readonly string[]): (folder: string) => void {
  return (folder) => {
    for (const name of names) rmSync(path.join(folder, name))
  }
}

function writing(name: string, text: string): (folder: string) => void {
  return (folder) => {
    writeFileSync(path.join(folder, name), text)
  }
}

function puttingAFolder(name: string): (folder: string) => void {
  return (folder) => {
    rmSync(path.join(folder, name))
    mkdirSync(path.join(folder, name))
  }
}

function putForeignRoot(folder: string): void {
  const { certPem, keyPem } = issueRoot({ now: NOW })
  writing('root.crt', certPem)(folder)
  writing('root.key', keyPem)(folder)
}

function forbidWriting(folder: string): void {
  chmodSync(folder, 0o500)
  onTestFinished(() => {
    chmodSync(folder, 0o700)
  })
}
