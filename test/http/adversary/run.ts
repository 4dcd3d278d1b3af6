// Runs cases of the table through a front and judges them.

import { converse, type Conversation, type Target } from '../../fixtures/conversation.ts'
import type { LenientUpstream } from '../../fixtures/lenient-upstream.ts'
import { readByCase, show, violationsOf, type JudgedFront } from './judge.ts'
import type { NamedCase } from './table.ts'

/** Cuts a case's bytes into TLS records. */
export type Cutting = (bytes: string) => readonly string[]

export const WHOLE: Cutting = (bytes) => [bytes]
/** At each CR and each LF, so that no line end arrives in one piece. */
export const BY_LINE: Cutting = (bytes) => bytes.split(/(?<=[\r\n])/)
export const BY_BYTE: Cutting = (bytes) => bytes.split('')

export interface Run {
  readonly target: Target
  readonly upstream: LenientUpstream
  readonly front: JudgedFront
  readonly cutting: Cutting
  /** Whether connections must end where the table says so. */
  readonly awaitsEnds: boolean
  readonly deadlineMs: number
}

export interface Outcome {
  readonly entry: NamedCase
  readonly statuses: readonly number[]
  readonly isClosed: boolean
  readonly violations: readonly string[]
}

const AT_ONCE = 32

/** Runs all cases, several at a time, with one front and one upstream. */
export async function runCases(cases: readonly NamedCase[], run: Run): Promise<readonly Outcome[]> {
  const conversations = new Map<NamedCase, Conversation>()
  const waiting = cases.values()
  const work = async (): Promise<void> => {
    for (const entry of waiting) conversations.set(entry, await play(entry, run))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  await waitForEarlierRequests(run)
  const readings = readByCase(run.upstream.take())
  // A request that belongs to no case would not be judged.
  const names = new Set(cases.map(({ name }) => name))
  const strays = [...readings]
    .filter(([name]) => !names.has(name))
    .flatMap(([, { seen, ambiguities }]) => [...seen.map(show), ...ambiguities])
  if (strays.length > 0) throw new Error(`of no case: ${strays.join(', ')}`)
  return cases.map((entry) => {
    const conversation = conversations.get(entry)
    const { answers = [], isClosed = false, hangs = true } = conversation ?? {}
    conversation?.end()
    const { seen, ambiguities } = readings.get(entry.name) ?? { seen: [], ambiguities: [] }
    const { name, bytes, isCut = false } = entry
    const violations = violationsOf({ seen, ambiguities, answers, name, bytes, isCut, hangs }, run.front)
    return { entry, statuses: answers.map(({ status }) => status), isClosed, violations }
  })
}

function play(entry: NamedCase, { target, cutting, awaitsEnds, deadlineMs }: Run): Promise<Conversation> {
  const answers = entry.expected.filter((expected) => expected !== 'end').length
  return converse(target, {
    pieces: cutting(entry.bytes),
    answers,
    closes: answers === 0 || (awaitsEnds && entry.expected.includes('end')),
    ...(entry.halfCloses === undefined ? {} : { halfCloses: entry.halfCloses }),
    deadlineMs,
  })
}

// The front handles the requests it has received before it answers these later ones.
async function waitForEarlierRequests({ target, deadlineMs }: Run): Promise<void> {
  for (let i = 0; i < 3; i++) {
    const bytes = 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nUser-Agent: settled\r\n\r\n'
    const conversation = await converse(target, { pieces: [bytes], answers: 1, closes: false, deadlineMs })
    conversation.end()
  }
}

/** Whether a case was answered as the table says. */
export function isAsExpected({ entry, statuses, isClosed }: Outcome): boolean {
  const wanted = entry.expected.filter((expected) => expected !== 'end')
  if (!entry.expected.includes('end')) return String(statuses) === String(wanted) && !isClosed
  // A last refusal may come before the end.
  const [last] = statuses.slice(wanted.length)
  const isRefusal = last === undefined || last >= 400
  return (
    isClosed &&
    isRefusal &&
    statuses.length <= wanted.length + 1 &&
    String(statuses.slice(0, wanted.length)) === String(wanted)
  )
}
