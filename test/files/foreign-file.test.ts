// Tests files of other users in a folder where each user can create files, as in /state of the image.

import { chmodSync, chownSync, lchownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { openKeystore } from '../../src/certificates/state-folder/keystore.ts'
import { openStatusKey, readStatusKey } from '../../src/certificates/state-folder/status-key-file.ts'
import { openTokenKey } from '../../src/certificates/state-folder/token-key.ts'
import { refuseForeign } from '../../src/files/foreign-file.ts'
import { readIfPresent } from '../../src/files/regular-file.ts'
import { writeFreeze } from '../../src/freeze/freeze-file.ts'
import { openWriteFreeze } from '../../src/freeze/write-freeze.ts'
import { readLastUsed } from '../../src/users/machine-passwords/last-used.ts'
import { newFreeze } from '../fixtures/freeze-scene.ts'
import { asNobody, NOBODY } from '../fixtures/nobody.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const OTHER = 4_321
const STRANGER = 1_234
const FOREIGN = /belongs to user 1234, and other users can write to its folder: remove the file/

/** Only root can give files to other users. */
const itAsRoot = it.runIf(process.getuid?.() === 0)

interface Owners {
  readonly file: number
  readonly folder: number
  readonly folderMode: number
}

const SHARED = { file: STRANGER, folder: OTHER, folderMode: 0o1777 } as const

function fileIn(name: string, content: string | Buffer, owners: Owners = SHARED): string {
  const base = tempFolder()
  chmodSync(base, 0o755)
  const file = path.join(base, 'state', name)
  mkdirSync(path.dirname(file))
  writeFileSync(file, content)
  giveAway(file, owners)
  return file
}

function giveAway(file: string, owners: Owners): void {
  const folder = path.dirname(file)
  chownSync(file, owners.file, owners.file)
  chownSync(folder, owners.folder, owners.folder)
  chmodSync(folder, owners.folderMode)
}

describe('a file is read', () => {
  itAsRoot.each<[what: string, owners: Owners]>([
    ['of the user of this process', { ...SHARED, file: NOBODY }],
    ['of root', { ...SHARED, file: 0 }],
    ['of the owner of the folder', { ...SHARED, file: OTHER }],
    ['of another user in a folder that only its owner can write to', { ...SHARED, folderMode: 0o755 }],
  ])('%s', async (_what, owners) => {
    const file = fileIn('a', 'text', owners)
    const bytes = await asNobody(() => readIfPresent(file, refuseForeign))
    expect(bytes?.toString()).toBe('text')
  })

  itAsRoot('of every user by root, who runs commands in the container', async () => {
    expect((await readIfPresent(fileIn('a', 'text'), refuseForeign))?.toString()).toBe('text')
  })
})

describe('a file of another user is refused', () => {
  itAsRoot.each([0o1777, 0o777, 0o775])('in a folder with mode %o', async (folderMode) => {
    const file = fileIn('a', 'text', { ...SHARED, folderMode })
    await expect(asNobody(() => readIfPresent(file, refuseForeign))).rejects.toThrow(FOREIGN)
  })

  itAsRoot('as a link to a file of the user of this process', async () => {
    const link = fileIn('a', '')
    const own = path.join(path.dirname(path.dirname(link)), 'own')
    writeFileSync(own, 'text')
    chownSync(own, NOBODY, NOBODY)
    rmSync(link)
    symlinkSync(own, link)
    lchownSync(link, STRANGER, STRANGER)
    await expect(asNobody(() => readIfPresent(link, refuseForeign))).rejects.toThrow(FOREIGN)
  })

  itAsRoot.each(['root.key', 'root.crt', 'leaf.key', 'leaf.crt', 'cross.crt', 'next-root.key'])(
    'as %s',
    async (name) => {
      const folder = path.dirname(fileIn(name, 'text'))
      const opened = asNobody(() => openKeystore({ folder, names: [], now: new Date() }))
      await expect(opened).rejects.toThrow(FOREIGN)
    },
  )

  itAsRoot('as token.key, also in the folder of a shared root', async () => {
    const folder = path.dirname(fileIn('token.key', Buffer.alloc(32)))
    for (const place of [{ folder }, { folder: tempFolder(), rootFolder: folder }])
      await expect(asNobody(() => openTokenKey(place, undefined))).rejects.toThrow(FOREIGN)
  })

  itAsRoot('as status.key, so nobody gets names and `top` sends no key', async () => {
    const folder = path.dirname(fileIn('status.key', `${'a'.repeat(43)}\n`))
    const { log, lines } = recordedLog()
    expect(await asNobody(() => openStatusKey(folder, log))).toBeUndefined()
    const reason = expect.stringMatching(FOREIGN) as unknown
    expect(lines).toContainEqual(expect.objectContaining({ event: 'status-key-not-stored', reason }))
    await expect(asNobody(() => readStatusKey(folder))).rejects.toThrow(FOREIGN)
  })

  itAsRoot('as freeze.json, so pushes go on', async () => {
    const file = fileIn('freeze.json', '')
    await writeFreeze(file, newFreeze(60_000))
    const { log, lines } = recordedLog()
    const options = { stateDir: path.dirname(file), pollMs: 'off', log } as const
    const freeze = await asNobody(() => openWriteFreeze(options))
    expect([freeze.isFrozen, freeze.state.kind]).toEqual([false, 'stale'])
    const reason = expect.stringMatching(FOREIGN) as unknown
    expect(lines).toContainEqual(expect.objectContaining({ event: 'file-not-loaded', file, reason }))
    chownSync(file, 0, 0)
    await asNobody(() => freeze.reload())
    expect(freeze.isFrozen).toBe(true)
    await freeze.close()
  })

  itAsRoot('as the last use of machine passwords', async () => {
    const file = fileIn('machine-passwords.json', '{}')
    await expect(asNobody(() => readLastUsed(file))).rejects.toThrow(FOREIGN)
  })
})
