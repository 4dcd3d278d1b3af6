// One batch of the fuzzer: all its connections at once, then what the upstream saw of them.

import { converse, type Answer, type Target } from '../fixtures/conversation.ts'
import { LENIENCIES, readRequests } from '../fixtures/lenient-reading.ts'
import { ECHO_ID, type LenientUpstream } from '../fixtures/lenient-upstream.ts'
import { ambiguitiesOf, show, SIDECAR } from '../http/adversary/judge.ts'
import { AUTHORIZATION } from '../http/adversary/cases.ts'
import type { Batch, FuzzCase } from './generate.ts'

export interface Fuzzed {
  readonly target: Target
  readonly upstream: LenientUpstream
  /** Request ids that the upstream has seen so far. */
  readonly ids: Set<string>
}

/** More turns of the event loop, which the sidecar shares, than it takes for anything that it got whole. */
const SILENCE_MS = 60
const DEADLINE_MS = 10_000

// The upstream answers everything: one of these would be a fault of ours.
const FAULTS: ReadonlySet<number> = new Set([500, 502, 504])

/** Runs a batch. Throws, with what was wrong and with the cases that are wrong alone too, when it finds something. */
export async function judgeBatch(batch: Batch, fuzzed: Fuzzed): Promise<void> {
  const violations = await runBatch(batch, fuzzed)
  if (violations.length === 0) return
  const guilty: string[] = []
  for (const entry of batch.cases) {
    const alone = await runBatch({ ...batch, cases: [entry] }, fuzzed)
    if (alone.length > 0) guilty.push(`${JSON.stringify(entry.pieces)}\n  ${alone.join('\n  ')}`)
  }
  const shown =
    guilty.length > 0
      ? guilty
      : ['(none is wrong alone)', ...batch.cases.map((entry) => JSON.stringify(entry))]
  throw new Error([...violations.slice(0, 10), '', ...shown].join('\n'))
}

async function runBatch({ cases, isOfStrangers }: Batch, fuzzed: Fuzzed): Promise<readonly string[]> {
  const results = await Promise.all(cases.map((entry) => runCase(entry, fuzzed.target)))
  const health = await isHealthy(fuzzed.target)
  const received = fuzzed.upstream.take().map(withoutHealthCheck)
  const answered = results.flatMap(({ answers }) => answers.flatMap(({ headers }) => headers[ECHO_ID] ?? []))
  return [
    ...results.flatMap(({ violations }) => violations),
    ...(health ? [] : ['a request that is in order gets no answer']),
    ...received.flatMap((bytes) => wrongIn(bytes, fuzzed.ids)),
    ...(isOfStrangers && received.some((bytes) => bytes !== '') ? ['a stranger got through'] : []),
    ...(isOfStrangers && answered.length > 0 ? ['a stranger got an answer of the registry'] : []),
    ...(new Set(answered).size === answered.length ? [] : ['two clients got one answer']),
    ...answered.filter((id) => !fuzzed.ids.has(id)).map((id) => `an answer to no request: ${id}`),
  ]
}

async function runCase(
  { pieces }: FuzzCase,
  target: Target,
): Promise<{ answers: readonly Answer[]; violations: string[] }> {
  // More than there can be: the client ends its side when nothing comes any more.
  const dialogue = { pieces, answers: Infinity, closes: true, silenceMs: SILENCE_MS, deadlineMs: DEADLINE_MS }
  const conversation = await converse(target, dialogue)
  conversation.end()
  const { answers, hangs, rest } = conversation
  const faults = answers.filter(({ status }) => FAULTS.has(status)).map(({ status }) => `answered ${status}`)
  const isHtml = /^[^]*<html/i.test(rest)
  return { answers, violations: [...faults, ...(hangs ? ['hangs'] : []), ...(isHtml ? ['speaks HTML'] : [])] }
}

const HEALTH_CHECK = `GET /v2/healthy HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${AUTHORIZATION}\r\n\r\n`

async function isHealthy(target: Target): Promise<boolean> {
  const dialogue = { pieces: [HEALTH_CHECK], answers: 1, closes: false, deadlineMs: DEADLINE_MS }
  const conversation = await converse(target, dialogue)
  conversation.end()
  return conversation.answers[0]?.status === 200
}

function withoutHealthCheck(bytes: string): string {
  return bytes.replace(/GET \/v2\/healthy HTTP\/1\.1\r\n(?:[^\r\n]+\r\n)*\r\n/, '')
}

// Whoever is smuggled past the sidecar has no id of ours: nobody outside can know the next one.
function wrongIn(bytes: string, ids: Set<string>): readonly string[] {
  const seen = readRequests(bytes, LENIENCIES[0])
  return [
    ...ambiguitiesOf(bytes, seen).map(({ text }) => text),
    ...seen.flatMap((request) => {
      const id = request.headers.find(([name]) => name === 'x-request-id')?.[1] ?? ''
      const isTwice = ids.has(id)
      ids.add(id)
      return [
        ...(SIDECAR.hasProof(request) ? [] : [`nobody let in: ${show(request)}`]),
        ...(isTwice ? [`sent twice: ${show(request)}`] : []),
        ...SIDECAR.wrongHeaders(request).map((wrong) => `${wrong}: ${show(request)}`),
      ]
    }),
  ]
}
