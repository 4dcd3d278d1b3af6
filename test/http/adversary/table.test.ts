// The adversary's table over one sidecar and one upstream that takes everything for a request.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startLenientUpstream, type LenientUpstream } from '../../fixtures/lenient-upstream.ts'
import { startSidecar, type TestSidecar } from '../../fixtures/sidecar.ts'
import { SIDECAR } from './judge.ts'
import { BY_BYTE, BY_LINE, isAsExpected, runCases, WHOLE, type Cutting, type Outcome } from './run.ts'
import { TABLE } from './table.ts'

let upstream: LenientUpstream
let sidecar: TestSidecar

beforeAll(async () => {
  upstream = await startLenientUpstream()
  sidecar = await startSidecar({ upstreamPort: upstream.port, env: { SIDECAR_THROTTLE: 'off' } })
})

afterAll(async () => {
  await sidecar.stop()
  upstream.close()
})

const runAll = (cutting: Cutting, cases = TABLE): Promise<readonly Outcome[]> => {
  const target = { port: sidecar.port, ca: sidecar.root.pem, sessions: {} }
  return runCases(cases, { target, upstream, front: SIDECAR, cutting, awaitsEnds: true, deadlineMs: 5_000 })
}

const brief = ({ entry, statuses, isClosed, violations }: Outcome) => ({
  what: entry.what,
  expected: entry.expected.join(' '),
  came: [...statuses, ...(isClosed ? ['end'] : [])].join(' '),
  violations,
})

describe('the adversary', () => {
  it('has cases enough, each with words of its own', () => {
    expect(TABLE.length).toBeGreaterThan(300)
    expect(new Set(TABLE.map(({ what }) => what)).size).toBe(TABLE.length)
  })

  it.each<[how: string, cutting: Cutting, longest: number]>([
    ['in one piece', WHOLE, Infinity],
    ['cut at each line end, also between CR and LF', BY_LINE, 8_000],
    ['byte by byte', BY_BYTE, 1_000],
  ])('talks past nothing: %s', async (_how, cutting, longest) => {
    const outcomes = await runAll(
      cutting,
      TABLE.filter(({ bytes }) => bytes.length <= longest),
    )
    const wrong = outcomes.filter((outcome) => outcome.violations.length > 0 || !isAsExpected(outcome))
    expect(wrong.map(brief)).toEqual([])
  })

  it('leaves a sidecar that works', async () => {
    const { status } = await sidecar.request({ as: 'alice:correct horse', path: '/v2/' })
    expect(status).toBe(200)
  })
})
