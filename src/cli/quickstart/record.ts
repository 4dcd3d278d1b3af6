// Records the addresses that a running quickstart chose, for other commands.
//
// Threat: a user who can write this file could direct commands to another registry. So a record counts only if it
// belongs to the same user and no other user may write it. It holds only addresses, and each must pass its parser.

import { mkdir, rm, rmdir, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../../files/atomic-file.ts'
import { errorCode } from '../../errors/errors.ts'
import { openToRead } from '../../files/regular-file.ts'
import { variableOf } from '../../settings/setting.ts'
import { settingOf } from '../../settings/table.ts'

const RECORDED = ['upstream', 'listen', 'adminListen'] as const

export type RecordedName = (typeof RECORDED)[number]
export type RecordedSettings = Readonly<Partial<Record<RecordedName, string>>>

// A killed quickstart leaves its record behind. An old modification time shows that; a process id may be reused.
const TOUCH_EVERY_MS = 2_000
const STALE_AFTER_MS = 10_000
const MAX_BYTES = 4096

export function recordIn(folder: string): string {
  return join(folder, 'quickstart.json')
}

export interface SettingsRecord {
  remove(): Promise<void>
}

/** Updates the modification time regularly. Rejects with system errors, or a CommandError. */
export async function keepRecord(folder: string, settings: RecordedSettings): Promise<SettingsRecord> {
  const file = recordIn(folder)
  const created = await mkdir(folder, { recursive: true, mode: 0o700 })
  const variables = RECORDED.map((name) => [variableOf(name), settings[name]])
  await replaceFile(file, `${JSON.stringify(Object.fromEntries(variables), null, 2)}\n`, { mode: 0o600 })
  const handle = await openToRead(file)
  const touching = setInterval(() => {
    handle.utimes(new Date(), new Date()).catch(() => undefined)
  }, TOUCH_EVERY_MS)
  return {
    async remove() {
      clearInterval(touching)
      // Another quickstart may have replaced the record.
      if (await isSameFile(file, handle)) await rm(file, { force: true })
      await handle.close()
      if (created !== undefined) await rmdir(folder).catch(() => undefined)
    },
  }
}

async function isSameFile(file: string, handle: FileHandle): Promise<boolean> {
  const { ino, dev } = await handle.stat()
  const now = await stat(file).catch(() => undefined)
  return now?.ino === ino && now.dev === dev
}

export type ReadRecord =
  | { readonly kind: 'none' }
  | { readonly kind: 'found'; readonly settings: RecordedSettings }
  | { readonly kind: 'unusable'; readonly reason: string }

/** Never rejects. Ignores a record with an old modification time. */
export async function readRecord(folder: string, uid: number): Promise<ReadRecord> {
  const handle = await openToRead(recordIn(folder)).catch(() => undefined)
  if (handle === undefined) return { kind: 'none' }
  try {
    const stats = await handle.stat()
    if (Math.abs(Date.now() - stats.mtimeMs) > STALE_AFTER_MS) return { kind: 'none' }
    if (!stats.isFile() || stats.size > MAX_BYTES) return unusable('it is not a record')
    if (stats.uid !== uid) return unusable('it belongs to another user')
    if ((stats.mode & 0o022) !== 0) return unusable('other users can write to it')
    return parseRecord(await handle.readFile('utf8'))
  } catch (error) {
    return unusable(errorCode(error) ?? 'it cannot be read')
  } finally {
    await handle.close()
  }
}

function parseRecord(text: string): ReadRecord {
  const fields = fieldsOf(text)
  if (fields === undefined) return unusable('it is not JSON')
  const settings: Partial<Record<RecordedName, string>> = {}
  for (const name of RECORDED) {
    const value = fields.get(variableOf(name))
    if (value === undefined) continue
    if (typeof value !== 'string' || !settingOf(name).parse(value).ok)
      return unusable(`${variableOf(name)} has an invalid value`)
    settings[name] = value
  }
  return { kind: 'found', settings }
}

function fieldsOf(text: string): ReadonlyMap<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : undefined
  } catch {
    return undefined
  }
}

function unusable(reason: string): ReadRecord {
  return { kind: 'unusable', reason }
}
