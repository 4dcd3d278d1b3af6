// Whether the time of a refusal tells which names exist. Samples are compared by their ranks, never with a figure of
// milliseconds, so the test holds on any machine.
//
// A test at p > 0.01 fails one honest sample in a hundred. So a difference counts only when new samples of the same
// name confirm it: an honest name fails one time in ten thousand then. The price is that a leak must show twice. Of
// 320 rounds, one of half the standard deviation of what is measured is missed three times in ten thousand, one of a
// quarter every other time. The planted one must be found by each run: it is half of what the times of refusals spread
// over on this machine at that moment, and never less than two milliseconds.

import { hashSync } from 'bcryptjs'
import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { bindingOf, formatKeptLine } from '../../src/users/old-password-line.ts'
import type { Verifier, VerifierParts } from '../../src/auth/verifier.ts'
import { mannWhitney } from '../fixtures/mann-whitney.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { basic, get, openWire, type Wire } from '../fixtures/wire.ts'

const ROUNDS = 320
const WARM_UP_ROUNDS = 40
const SIGNIFICANT_P = 0.01
const LEAST_PLANTED_MS = 2
// Where the noise grows meanwhile, the difference that was measured by what it was before is lost in it.
const PLANTED_TRIES = 4
const LOAD_CONNECTIONS = 3

/** The name whose refusals are late, as they would be if the sidecar did more for a name that it knows. */
const planted = vi.hoisted(() => ({ username: '', ms: 0 }))

vi.mock(import('../../src/auth/verifier.ts'), async (importOriginal) => {
  const original = await importOriginal()
  return { ...original, createVerifier: (parts: VerifierParts) => delaying(original.createVerifier(parts)) }
})

function delaying(verifier: Verifier): Verifier {
  return {
    verify: async (credentials, source) => {
      const verdict = await verifier.verify(credentials, source)
      if (credentials.username === planted.username) await pause(planted.ms)
      return verdict
    },
  }
}

// All as long as the names that nobody has. Costs as low as they go: rounds are quick, and what does not grow with
// the cost is a larger part of the whole.
const PLAIN = 'entry-of-cost-4'
const OTHER_COST = 'entry-of-cost-5'
const DEAREST = 'entry-of-cost-6'
const KEPT_OLD = 'entry-4-kept-5-'

const ONE_COST = [entryOf(PLAIN, 4)]
const MIXTURE = [
  entryOf(PLAIN, 4),
  entryOf(OTHER_COST, 5),
  entryOf(DEAREST, 6),
  entryWithKept(KEPT_OLD, 4, 5),
]

describe.each(['quiet', 'under load'] as const)('%s, a wrong password', (state) => {
  it.each<[what: string, entries: readonly string[], known: readonly string[]]>([
    ['among entries of one cost', ONE_COST, [PLAIN]],
    ['among entries of several costs and a kept old one', MIXTURE, [PLAIN, DEAREST, KEPT_OLD]],
  ])('takes as long as an unknown name, %s', { timeout: 600_000 }, async (_what, entries, known) => {
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({
      upstreamPort: upstream.port,
      users: ALICE_ENTRY + entries.join(''),
      // A connection of those that keep it busy brings more requests the longer this takes.
      env: { SIDECAR_THROTTLE: 'off', SIDECAR_MAX_REQUESTS_PER_CONNECTION: 'off' },
    })
    if (state === 'under load') await keepBusy(sidecar)
    onTestFinished(() => {
      planted.username = ''
    })
    const compare = await createComparison(sidecar, known)

    await compare(known, WARM_UP_ROUNDS)
    const first = await compare(known, ROUNDS)
    const suspects = significant(first)
    const confirmed = suspects.length === 0 ? [] : significant(await compare(suspects, ROUNDS))
    expect(confirmed, 'names whose refusals take another time than an unknown one').toEqual([])

    planted.username = PLAIN
    let last = first
    for (let tries = 0; tries < PLANTED_TRIES; tries++) {
      planted.ms = Math.max(LEAST_PLANTED_MS, last.spreadMs / 2)
      last = await compare([PLAIN], ROUNDS)
      if (significant(last).includes(PLAIN)) break
    }
    expect(significant(last), 'the planted difference').toEqual([PLAIN])
  })
})

function entryOf(username: string, cost: number): string {
  return `${username}:${hashSync('correct horse', cost)}\n`
}

function entryWithKept(username: string, cost: number, keptCost: number): string {
  const [hash, old] = [hashSync('correct horse', cost), hashSync('battery staple', keptCost)]
  const kept = formatKeptLine({
    username,
    hash: old,
    validUntil: Date.now() + 3_600_000,
    binding: bindingOf(hash),
  })
  return `${username}:${hash}\n${kept}\n`
}

interface Compared {
  /** For each name, how probable such a difference is when there is none. */
  readonly probabilities: ReadonlyMap<string, number>
  /** Between the first and the third quartile of the times for unknown names. */
  readonly spreadMs: number
}

function significant({ probabilities }: Compared): readonly string[] {
  return [...probabilities].filter(([, p]) => p <= SIGNIFICANT_P).map(([username]) => username)
}

/**
 * Compares the times of refusals for each of the names with those for unknown ones. Each kind has a kept-alive
 * connection of its own, and each round asks every kind once, in random order: whatever drifts or comes in waves
 * meets them all alike.
 */
async function createComparison(sidecar: TestSidecar, known: readonly string[]) {
  const wires = new Map<string, Wire>()
  for (const kind of [...known, 'unknown']) wires.set(kind, await openWire(sidecar))

  return async function compare(usernames: readonly string[], rounds: number): Promise<Compared> {
    const kinds = [...usernames, 'unknown'].map((kind) => ({ kind, times: [] as number[] }))
    for (let round = 0; round < rounds; round++) {
      for (const { kind, times } of shuffled(kinds)) {
        const username = kind === 'unknown' ? randomText(PLAIN.length) : kind
        times.push(await timeOfRefusal(wires.get(kind), username))
      }
    }
    const unknown = kinds.at(-1)?.times ?? []
    const known = kinds.slice(0, -1)
    return {
      probabilities: new Map(known.map(({ kind, times }) => [kind, mannWhitney(times, unknown).p])),
      spreadMs: spreadOf(unknown),
    }
  }
}

function spreadOf(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  const quartile = (n: number) => sorted[Math.floor((sorted.length * n) / 4)] ?? 0
  return quartile(3) - quartile(1)
}

async function timeOfRefusal(wire: Wire | undefined, username: string): Promise<number> {
  const request = get('/v2/', basic(`${username}:${randomText(16)}`))
  const start = performance.now()
  const answer = await wire?.send(request)
  const ms = performance.now() - start
  expect(answer).toMatch(/^HTTP\/1\.1 401 /)
  return ms
}

function shuffled<T>(list: readonly T[]): readonly T[] {
  const rest = [...list]
  return list.flatMap(() => rest.splice(randomInt(rest.length), 1))
}

function randomText(length: number): string {
  return randomBytes(length).toString('hex').slice(0, length)
}

/** Requests of a logged-in user on connections of their own, until the test is over. */
async function keepBusy(sidecar: TestSidecar): Promise<void> {
  let isOver = false
  const wires = await Promise.all(Array.from({ length: LOAD_CONNECTIONS }, () => openWire(sidecar)))
  const lanes = wires.map(async (wire) => {
    while (!isOver) {
      expect(await wire.send(get('/v2/', basic(ALICE)))).toMatch(/^HTTP\/1\.1 200 /)
      // Short of saturation: there the queue would be measured, which hides what a quieter moment shows.
      await pause(1)
    }
  })
  onTestFinished(async () => {
    isOver = true
    await Promise.all(lanes)
  })
}
