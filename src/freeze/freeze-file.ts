// Reads and writes the freeze file of a state folder.

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { InvalidFileError } from '../errors/errors.ts'
import { replaceFile } from '../files/atomic-file.ts'
import { readIfPresent } from '../files/regular-file.ts'

/** `all`: the writes of running pushes wait too. */
export type HeldWrites = 'new-pushes' | 'all'

/** Times are milliseconds since 1970. */
export interface Freeze {
  readonly id: string
  readonly since: number
  readonly until: number
  readonly holds: HeldWrites
  /** `user@host` of the command. */
  readonly by: string
  /** The command runs a program, and thaws when the program has ended. */
  readonly runsProgram: boolean
}

const FREEZE_FILE = 'freeze.json'

export function freezeFileIn(stateDir: string): string {
  return join(stateDir, FREEZE_FILE)
}

export function createFreeze(freeze: Omit<Freeze, 'id' | 'holds'>): Freeze {
  return { ...freeze, id: randomUUID(), holds: 'new-pushes' }
}

export function isOver({ until }: Freeze, now: number): boolean {
  return now >= until
}

/** Undefined if the file says that nothing is frozen. Throws an InvalidFileError. */
export function parseFreeze(bytes: Buffer, file: string): Freeze | undefined {
  const fields = fieldsOf(bytes, file)
  if (fields['state'] === 'thawed') return undefined
  const { id, holds, by } = fields
  const [since, until] = [timeOf(fields['since']), timeOf(fields['until'])]
  const hasFields = fields['state'] === 'frozen' && typeof id === 'string' && typeof by === 'string'
  const isKnown = holds === 'new-pushes' || holds === 'all'
  if (!hasFields || !isKnown || Number.isNaN(since) || Number.isNaN(until))
    throw new InvalidFileError(file, `is damaged; ${FIX}`)
  return { id, since, until, holds, by, runsProgram: fields['runsProgram'] === true }
}

const FIX = '`registry-sidecar thaw` replaces it'

// Every user may read the file, because it contains no secret, and the command may run as another user.
const MODE = 0o644

/** Rejects with system errors, or a CommandError. */
export async function writeFreeze(file: string, freeze: Freeze): Promise<void> {
  const times = { since: isoTime(freeze.since), until: isoTime(freeze.until) }
  await write(file, { state: 'frozen', ...freeze, ...times })
}

/** Writes a file instead of removing it, because after a removal the freeze would stay in force. */
export async function writeThaw(
  file: string,
  thaw: { readonly at: number; readonly by: string },
): Promise<void> {
  await write(file, { state: 'thawed', since: isoTime(thaw.at), by: thaw.by })
}

/** Undefined if nothing is frozen, or if the file is damaged. Rejects with system errors. */
export async function readFreeze(file: string, now: number): Promise<Freeze | undefined> {
  const bytes = await readIfPresent(file)
  if (bytes === undefined) return undefined
  try {
    const freeze = parseFreeze(bytes, file)
    return freeze === undefined || isOver(freeze, now) ? undefined : freeze
  } catch (error) {
    if (error instanceof InvalidFileError) return undefined
    throw error
  }
}

export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}

function write(file: string, content: object): Promise<void> {
  return replaceFile(file, `${JSON.stringify(content, null, 2)}\n`, { mode: MODE })
}

function fieldsOf(bytes: Buffer, file: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>
  } catch {
    // Reported below.
  }
  throw new InvalidFileError(file, `is not a JSON object; ${FIX}`)
}

function timeOf(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : Number.NaN
}
