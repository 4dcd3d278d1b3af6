import { randomBytes } from 'node:crypto'

import { InvalidFileError } from '../errors.ts'
import {
  BCRYPT_ALPHABET,
  DEFAULT_COST,
  MIN_COST,
  SALT_AND_DIGEST_LENGTH,
  parseLine,
} from './htpasswd-line.ts'

/** One usable line: a name and its bcrypt string, whose work factor is `cost`. Lines count from 1. */
export interface Entry {
  readonly username: string
  readonly hash: string
  readonly cost: number
  readonly line: number
}

/** A line that was skipped. The reason is fit for a log: it holds no hash and no text that could be a password. */
export interface Problem {
  readonly line: number
  readonly reason: string
}

export interface UserTable {
  readonly entries: ReadonlyMap<string, Entry>
  readonly problems: readonly Problem[]
  /** bcrypt strings that no password matches, by cost: one for each cost up to the highest among the entries. */
  readonly decoys: ReadonlyMap<number, string>
}

const BYTE_ORDER_MARK = Buffer.from('\ufeff')
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads an htpasswd file with bcrypt entries. Lines that cannot be used are skipped and named in `problems`; of
 * several entries for one name the first counts, as with Apache. A file of nothing, or of comments alone, is an
 * empty table. Throws InvalidFileError for a binary file, and for one whose lines hold no usable entry at all.
 */
export function parseHtpasswd(bytes: Buffer, file: string): UserTable {
  refuseBinary(bytes, file)
  const entries = new Map<string, Entry>()
  const problems: Problem[] = []
  decodeLines(bytes).forEach((text, index) => {
    const result = readLine(text, index + 1, entries)
    if (result === undefined) return
    if ('reason' in result) problems.push(result)
    else entries.set(result.username, result)
  })
  const [first] = problems
  if (entries.size === 0 && first !== undefined) {
    throw new InvalidFileError(file, `no line is a usable entry; line ${first.line}: ${first.reason}`)
  }
  return { entries, problems, decoys: createDecoys(entries) }
}

/** Throws InvalidFileError for bytes that are no text in an encoding we read. */
export function refuseBinary(bytes: Buffer, file: string): void {
  if (isUtf16(bytes)) throw new InvalidFileError(file, 'this is UTF-16 text; save it as UTF-8')
  if (bytes.includes(0)) throw new InvalidFileError(file, 'this is a binary file (it holds NUL bytes)')
}

// An unknown name must take as long to refuse as a wrong password, or the time tells an attacker which names
// exist. The dearest entry sets the price for all, M: an unknown name is compared at cost M, which is 2^M of work.
// A known one of cost c is compared with its own hash and then at c, c+1, … M-1: 2^c + 2^c + 2^(c+1) + … = 2^M.

/** The bcrypt string an unknown name is compared with. */
export function decoyFor({ decoys }: UserTable): string {
  return decoys.get(highestCost(decoys.keys())) ?? createDecoy(DEFAULT_COST)
}

/** The bcrypt strings a known name is compared with after its own hash did not match. */
export function decoysAfter({ decoys }: UserTable, entry: Entry): readonly string[] {
  const highest = highestCost(decoys.keys())
  return [...decoys].filter(([cost]) => cost >= entry.cost && cost < highest).map(([, decoy]) => decoy)
}

function readLine(
  text: string | undefined,
  line: number,
  entries: ReadonlyMap<string, Entry>,
): Entry | Problem | undefined {
  if (text === undefined) return { line, reason: 'not UTF-8 text' }
  const parsed = parseLine(text)
  if (parsed.kind === 'nothing') return undefined
  if (parsed.kind === 'problem') return { line, reason: parsed.reason }
  const { username, hash, cost } = parsed
  const first = entries.get(username)
  if (first === undefined) return { username, hash, cost, line }
  return { line, reason: `${username} is there already, in line ${first.line}, which counts` }
}

function decodeLines(bytes: Buffer): readonly (string | undefined)[] {
  const text = startsWith(bytes, BYTE_ORDER_MARK) ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes
  const whole = decodeUtf8(text)
  if (whole !== undefined) return whole.split('\n')
  // Latin-1 maps bytes to characters one to one: a line that is not UTF-8 spoils only itself.
  const lines = text.toString('latin1').split('\n')
  return lines.map((line) => decodeUtf8(Buffer.from(line, 'latin1')))
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return UTF8.decode(bytes)
  } catch {
    return undefined
  }
}

function isUtf16(bytes: Buffer): boolean {
  if (startsWith(bytes, Buffer.from([0xff, 0xfe])) || startsWith(bytes, Buffer.from([0xfe, 0xff])))
    return true
  const nulls = Array.from(bytes.subarray(0, 4), (byte) => (byte === 0 ? '0' : 'x')).join('')
  return nulls === '0x0x' || nulls === 'x0x0'
}

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.subarray(0, prefix.length).equals(prefix)
}

function createDecoys(entries: ReadonlyMap<string, Entry>): ReadonlyMap<number, string> {
  const highest = highestCost(Array.from(entries.values(), ({ cost }) => cost))
  const decoys = new Map<number, string>()
  for (let cost = MIN_COST; cost <= highest; cost++) decoys.set(cost, createDecoy(cost))
  return decoys
}

function highestCost(costs: Iterable<number>): number {
  let highest = 0
  for (const cost of costs) highest = Math.max(highest, cost)
  return highest === 0 ? DEFAULT_COST : highest
}

function createDecoy(cost: number): string {
  const characters = Array.from(randomBytes(SALT_AND_DIGEST_LENGTH), (byte) =>
    BCRYPT_ALPHABET.charAt(byte % 64),
  )
  return `$2b$${String(cost).padStart(2, '0')}$${characters.join('')}`
}
