// Tests the token key in the state folder.

import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'

import { openTokenKey } from '../../../src/certificates/state-folder/token-key.ts'
import { InvalidFileError } from '../../../src/errors/errors.ts'
import { asNobody, giveToNobody } from '../../fixtures/nobody.ts'
import { recordedLog } from '../../fixtures/recorded-log.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

function place() {
  const folder = path.join(tempFolder(), 'state')
  return { folder, file: path.join(folder, 'token.key'), ...recordedLog() }
}

it('is created with 32 bytes that only its owner can read, despite the umask', async () => {
  const umask = process.umask(0)
  onTestFinished(() => void process.umask(umask))
  const { folder, file, log } = place()
  const key = await openTokenKey({ folder }, log)
  expect(readFileSync(file)).toEqual(key)
  expect(key).toHaveLength(32)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readdirSync(folder)).toEqual(['token.key'])
})

it('stays the same at the next start, and differs between folders', async () => {
  const { folder, log } = place()
  const key = await openTokenKey({ folder }, log)
  expect(await openTokenKey({ folder }, log)).toEqual(key)
  expect(await openTokenKey(place(), log)).not.toEqual(key)
})

it('is the same for sidecars that start at the same moment', async () => {
  const { folder, log } = place()
  const keys = await Promise.all(Array.from({ length: 8 }, () => openTokenKey({ folder }, log)))
  for (const key of keys) expect(key).toEqual(keys[0])
})

it('is made unreadable for others, and that is logged', async () => {
  const { folder, file, log, lines } = place()
  mkdirSync(folder)
  writeFileSync(file, randomBytes(32), { mode: 0o644 })
  await openTokenKey({ folder }, log)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(lines).toMatchObject([{ msg: 'other users could read this private key; its mode is 0600 now' }])
})

it.each([
  ['is empty', 0],
  ['is too short', 31],
  ['is too long', 33],
])('is refused if the file %s, and the file stays', async (_what, length) => {
  const { folder, file, log } = place()
  mkdirSync(folder)
  const bytes = randomBytes(length)
  writeFileSync(file, bytes, { mode: 0o600 })
  const opened = openTokenKey({ folder }, log)
  await expect(opened).rejects.toBeInstanceOf(InvalidFileError)
  await expect(opened).rejects.toThrow(
    `has ${length} bytes instead of 32: restore the right file, or remove it`,
  )
  expect(readFileSync(file)).toEqual(bytes)
})

it('is refused if it is a folder', async () => {
  const { folder, file, log } = place()
  mkdirSync(file, { recursive: true })
  await expect(openTokenKey({ folder }, log)).rejects.toThrow('is a folder where a file should be')
})

it('lives as long as the process if the folder cannot be written', async () => {
  const { folder, file, log, lines } = place()
  mkdirSync(folder)
  giveToNobody(folder)
  chmodSync(folder, 0o500)
  onTestFinished(() => {
    chmodSync(folder, 0o700)
  })
  const key = await asNobody(() => openTokenKey({ folder }, log))
  expect(key).toHaveLength(32)
  expect(readdirSync(folder)).toEqual([])
  expect(lines).toMatchObject([{ level: 40, file, reason: expect.stringMatching(/no permission/) as string }])
})
