// Runs one fuzzer batch and judges what the upstream received.

import { converse, type Answer, type Target } from '../fixtures/conversation.ts'
import { LENIENCIES, readRequests } from '../fixtures/lenient-reading.ts'
import { ECHO_ID, type LenientUpstream } from '../fixtures/lenient-upstream.ts'
import { ambiguitiesOf, show, SIDECAR } from '../http/adversary/judge.ts'
import { AUTHORIZATION } from '../http/adversary/cases.ts'
import type { Batch, FuzzCase } from './generate.ts'

export interface FuzzTarget {
  readonly target: Target
  readonly upstream: LenientUpstream
  /** Request ids that the upstream has seen so far. */
  readonly ids: Set<string>
}

/** Long enough for the sidecar, which shares this event loop, to answer every complete request. */
const SILENCE_MS = 60
const DEADLINE_MS = 10_000

// The upstream answers every request, so each of these is a fault of the sidecar.
const FAULTS: ReadonlySet<number> = new Set([500, 502, 504])

/** Throws if it finds violations, with the cases that fail alone too. */
export async function judgeBatch(batch: Batch, scene: FuzzTarget): Promise<void> {
  const violations = await runBatch(batch, scene)
  if (violations.length === 0) return
  const guilty: string[] = []
  for (const entry of batch.cases) {
    const alone = await runBatch({ ...batch, cases: [entry] }, scene)
    if (alone.length > 0) guilty.push(`${JSON.stringify(entry.pieces)}\n  ${alone.join('\n  ')}`)
  }
  const shown =
    guilty.length > 0
      ? guilty
      : ['(no case fails alone)', ...batch.cases.map((entry) => JSON.stringify(entry))]
  throw new Error([...violations.slice(0, 10), '', ...shown].join('\n'))
}

async function runBatch({ cases, isUnauthenticated }: Batch, scene: FuzzTarget): Promise<readonly string[]> {
  const results = await Promise.all(cases.map((entry) => runCase(entry, scene.target)))
  const health = await isHealthy(scene.target)
  const received = scene.upstream.take().map(withoutHealthCheck)
  const answered = results.flatMap(({ answers }) => answers.flatMap(({ headers }) => headers[ECHO_ID] ?? []))
  return [
    ...results.flatMap(({ violations }) => violations),
    ...(health ? [] : ['a valid request gets no answer']),
    ...received.flatMap((bytes) => findViolations(bytes, scene.ids)),
    ...(isUnauthenticated && received.some((bytes) => bytes !== '')
      ? ['an unauthenticated request reached the upstream']
      : []),
    ...(isUnauthenticated && answered.length > 0
      ? ['an unauthenticated client received an upstream response']
      : []),
    ...(new Set(answered).size === answered.length ? [] : ['two clients received the same response']),
    ...answered.filter((id) => !scene.ids.has(id)).map((id) => `a response without a request: ${id}`),
  ]
}

async function runCase(
  { pieces }: FuzzCase,
  target: Target,
): Promise<{ answers: readonly Answer[]; violations: string[] }> {
  // More answers than possible, so the client waits for silence before it ends its side.
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

// A smuggled request has no valid id because clients cannot predict the next one.
function findViolations(bytes: string, ids: Set<string>): readonly string[] {
  const seen = readRequests(bytes, LENIENCIES[0])
  return [
    ...ambiguitiesOf(bytes, seen).map(({ text }) => text),
    ...seen.flatMap((request) => {
      const id = request.headers.find(([name]) => name === 'x-request-id')?.[1] ?? ''
      const isDuplicate = ids.has(id)
      ids.add(id)
      return [
        ...(SIDECAR.hasProof(request) ? [] : [`no login allowed it: ${show(request)}`]),
        ...(isDuplicate ? [`sent twice: ${show(request)}`] : []),
        ...SIDECAR.wrongHeaders(request).map((wrong) => `${wrong}: ${show(request)}`),
      ]
    }),
  ]
}
