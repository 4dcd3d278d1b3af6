// Parses an htpasswd file into the user table.
//
// The sidecar pauses between small steps, because its event loop carries every transfer.

import { setImmediate } from 'node:timers/promises'

import { InvalidFileError } from '../errors/errors.ts'
import { createDummyHashes, raiseCounts, type CostCounts } from './dummy-hashes.ts'
import { parseHash, parseLine, type ProblemKind } from './htpasswd-line.ts'
import { bindingOf, MAX_KEPT, parseKeptLine, type KeptLine } from './old-password-line.ts'
import { isUtf16, linesOf } from './text-lines.ts'

export interface PreviousHash {
  readonly hash: string
  readonly cost: number
  /** Milliseconds since 1970. */
  readonly validUntil: number
  readonly line: number
}

export interface Entry {
  readonly username: string
  readonly hash: string
  readonly cost: number
  readonly line: number
  readonly previous: readonly PreviousHash[]
}

/** A skipped line. Its reason may name a user, but contains no hash and no possible password. */
export interface Problem {
  readonly line: number
  readonly kind: ProblemKind
  readonly reason: string
}

export interface UserTable {
  readonly entries: ReadonlyMap<string, Entry>
  readonly problems: readonly Problem[]
  readonly dummyHashes: readonly string[]
}

type Steps = Generator<undefined, UserTable, undefined>
type Kept = KeptLine & { readonly line: number }

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

/** The present hash comes first, then the old ones. */
export function hashesAt({ hash, previous }: Entry, now: number): readonly string[] {
  return [hash, ...previous.filter(({ validUntil }) => now < validUntil).map((old) => old.hash)]
}

function* read(bytes: Buffer, file: string, now: number): Steps {
  const entries = new Map<string, Entry>()
  const kept: Kept[] = []
  const [problems, keptProblems]: [Problem[], Problem[]] = [[], []]
  let line = 0
  for (const text of linesOf(bytes)) {
    if (++line % LINES_PER_STEP === 0) yield
    const old = text === undefined ? undefined : readKept(text, line, now)
    if (old !== undefined) {
      if ('reason' in old) keptProblems.push(old)
      else kept.push(old)
      continue
    }
    const entry = readEntry(text, line, entries)
    if (entry === undefined) continue
    if ('reason' in entry) problems.push(entry)
    else entries.set(entry.username, entry)
  }
  // Kept lines do not count: when `htpasswd -D` removes the last user, they must not keep the file usable.
  const [first] = problems
  if (entries.size === 0 && first !== undefined) {
    throw noUsableLine(file, { bytes, first })
  }
  // After all entries, because in a sorted file a kept line may come before its entry.
  for (const old of kept) {
    yield
    const entry = attach(old, entries.get(old.username))
    if ('reason' in entry) keptProblems.push(entry)
    else entries.set(entry.username, entry)
  }
  const counts = yield* countCosts(entries)
  const all = [...problems, ...keptProblems].sort((a, b) => a.line - b.line)
  return { entries, problems: all, dummyHashes: createDummyHashes(counts) }
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

function readKept(text: string, line: number, now: number): Kept | Problem | undefined {
  const parsed = parseKeptLine(text)
  if (parsed.kind === 'malformed') return { line, kind: 'unusable old password', reason: parsed.reason }
  return parsed.kind === 'kept' && now < parsed.validUntil ? { ...parsed, line } : undefined
}

function attach(
  { username, hash, binding, validUntil, line }: Kept,
  entry: Entry | undefined,
): Entry | Problem {
  const problem = (what: string): Problem => ({
    line,
    kind: 'unusable old password',
    reason: `the old password kept for ${username} ${what}`,
  })
  if (entry === undefined) return problem('lets nobody in: there is no usable entry of that name')
  const parsed = parseHash(hash)
  if (parsed.kind === 'unusable') return problem(`has ${parsed.found}, which is not taken; remove this line`)
  if (entry.previous.length >= MAX_KEPT) return problem(`is one too many; up to ${MAX_KEPT} are taken`)
  if (binding !== bindingOf(entry.hash)) {
    return problem('is no longer valid: the password was changed by other means than `user passwd`')
  }
  return { ...entry, previous: [...entry.previous, { hash, cost: parsed.cost, validUntil, line }] }
}
