// Runs the adversary's table against a sidecar with a lenient upstream.

import { describe, expect, it } from 'vitest'
import { adversaryScene } from '../../fixtures/adversary-scene.ts'
import { isStress, repetitions } from '../../fixtures/repetitions.ts'
import { SIDECAR } from './judge.ts'
import { BY_BYTE, BY_LINE, isAsExpected, runCases, WHOLE, type Cutting, type Outcome } from './run.ts'
import { TABLE } from './table.ts'

const scene = adversaryScene()

const runAll = (cutting: Cutting, cases = TABLE): Promise<readonly Outcome[]> => {
  const { target, upstream } = scene()
  return runCases(cases, { target, upstream, front: SIDECAR, cutting, awaitsEnds: true, deadlineMs: 20_000 })
}

const brief = ({ entry, statuses, isClosed, violations }: Outcome) => ({
  what: entry.what,
  expected: entry.expected.join(' '),
  came: [...statuses, ...(isClosed ? ['end'] : [])].join(' '),
  violations,
})

// Usually only the shortest heads are sent byte by byte, and only the others line by line: so each is cut at its line ends.
const LONGEST_BY_BYTE = repetitions({ usual: 110, stress: 1_000 })

describe('the adversary', () => {
  it('has more than 300 cases, each with its own name', () => {
    expect(TABLE.length).toBeGreaterThan(300)
    expect(new Set(TABLE.map(({ what }) => what)).size).toBe(TABLE.length)
  })

  it.each<[how: string, cutting: Cutting, shortest: number, longest: number]>([
    ['in one piece', WHOLE, 0, Infinity],
    ['cut at each line end, even between CR and LF', BY_LINE, isStress ? 0 : LONGEST_BY_BYTE + 1, 8_000],
    ['byte by byte', BY_BYTE, 0, LONGEST_BY_BYTE],
  ])('finds no hole, sent %s', { timeout: 300_000 }, async (_how, cutting, shortest, longest) => {
    const cases = TABLE.filter(({ bytes }) => bytes.length >= shortest && bytes.length <= longest)
    expect(cases.length).toBeGreaterThan(20)
    const outcomes = await runAll(cutting, cases)
    const wrong = outcomes.filter((outcome) => outcome.violations.length > 0 || !isAsExpected(outcome))
    expect(wrong.map(brief)).toEqual([])
  })

  it('leaves a working sidecar', async () => {
    const { status } = await scene().sidecar.request({ as: 'alice:correct horse', path: '/v2/' })
    expect(status).toBe(200)
  })
})
