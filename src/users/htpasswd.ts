// Parses an htpasswd file into the user table.
// The sidecar pauses between small steps, because its event loop carries every transfer.

import { setImmediate } from 'node:timers/promises'

import { InvalidFileError } from '../errors/errors.ts'
import { createDummyHashes, raiseCounts, type CostCounts } from './dummy-hashes.ts'
import { parseLine } from './htpasswd-line.ts'
import { createOwnLines } from './own-lines.ts'
import { isUtf16, linesOf } from './text-lines.ts'
import type { Entry, PreviousHash, Problem, UserTable } from './user-table.ts'

type Steps = Generator<undefined, UserTable, undefined>

const NONE: readonly PreviousHash[] = []

// A step takes about 0.2 ms. A transfer waits for one slice, and sometimes 4 to 10 ms for the garbage collector.
const LINES_PER_STEP = 64
const SLICE_MS = 2

/** The first entry of a name counts, as with Apache. Throws InvalidFileError for a file with only unusable lines. */
export function parseHtpasswd(bytes: Buffer, file: string, now = Date.now()): UserTable {
  const steps = read(bytes, file, now)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

export async function parseHtpasswdInSlices(
  bytes: Buffer,
  file: string,
  now = Date.now(),
): Promise<UserTable> {
  const steps = read(bytes, file, now)
  let sliceEnd = performance.now() + SLICE_MS
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (performance.now() < sliceEnd) continue
    await setImmediate()
    sliceEnd = performance.now() + SLICE_MS
  }
}

function* read(bytes: Buffer, file: string, now: number): Steps {
  const entries = new Map<string, Entry>()
  const own = createOwnLines(now)
  const problems: Problem[] = []
  let line = 0
  for (const text of linesOf(bytes)) {
    if (++line % LINES_PER_STEP === 0) yield
    if (text !== undefined && own.take(text, line)) continue
    const entry = readEntry(text, line, entries)
    if (entry === undefined) continue
    if ('reason' in entry) problems.push(entry)
    else entries.set(entry.username, entry)
  }
  // A file with only old and machine passwords counts as empty. If it were unusable, a removed user would stay in force.
  const [first] = problems
  if (entries.size === 0 && first !== undefined) {
    throw noUsableLine(file, { bytes, first })
  }
  const attached = yield* own.attachTo(entries)
  const counts = yield* countCosts(entries)
  return {
    entries,
    machinePasswords: attached.machinePasswords,
    problems: [...problems, ...attached.problems].sort((a, b) => a.line - b.line),
    dummyHashes: createDummyHashes(counts),
  }
}

interface NoUsableLine {
  readonly bytes: Buffer
  readonly first: Problem
}

function noUsableLine(file: string, { bytes, first }: NoUsableLine): InvalidFileError {
  if (isUtf16(bytes)) return new InvalidFileError(file, 'this is UTF-16 text; save it as UTF-8')
  const reasonOf = (what: string) => `no line is a usable entry; line ${first.line}: ${what}`
  return new InvalidFileError(file, reasonOf(first.reason), { publicReason: reasonOf(first.kind) })
}

function* countCosts(entries: ReadonlyMap<string, Entry>): Generator<undefined, CostCounts, undefined> {
  let counts: CostCounts = new Map()
  let seen = 0
  for (const { cost, previous } of entries.values()) {
    if (++seen % LINES_PER_STEP === 0) yield
    counts = raiseCounts(counts, [cost, ...previous.map((old) => old.cost)])
  }
  return counts
}

function readEntry(
  text: string | undefined,
  line: number,
  entries: ReadonlyMap<string, Entry>,
): Entry | Problem | undefined {
  if (text === undefined) return { line, kind: 'not UTF-8', reason: 'not UTF-8 text' }
  const parsed = parseLine(text)
  if (parsed.kind === 'nothing') return undefined
  if (parsed.kind === 'problem') return { line, kind: parsed.problem, reason: parsed.reason }
  const { username, hash, cost } = parsed
  const first = entries.get(username)
  if (first === undefined) return { username, hash, cost, line, previous: NONE }
  return {
    line,
    kind: 'duplicate name',
    reason: `${username} is there already, in line ${first.line}, which counts`,
  }
}
