// Tests whether the time of a refusal shows which names exist.
//
// The test compares ranks of samples, not milliseconds, so it works on any machine.
//
// At p > 0.01 one equal sample in a hundred fails. So a difference counts only if new samples of the same name confirm
// it; then an equal name fails once in ten thousand runs. With 320 rounds, a leak of half the standard deviation is
// missed three times in ten thousand, and a leak of a quarter every second time. Each run must find a planted leak: half
// of the current spread of refusal times, and at least two milliseconds.

import { hashSync } from 'bcryptjs'
import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createBcryptPool } from '../../src/auth/bcrypt-pool.ts'
import { bindingOf, formatKeptLine } from '../../src/users/old-password-line.ts'
import type { Verifier, VerifierParts } from '../../src/auth/verifier.ts'
import { createMachinePassword } from '../../src/users/machine-passwords/machine-secret.ts'
import { machinePasswordFor } from '../fixtures/machine-password.ts'
import { mannWhitney } from '../fixtures/mann-whitney.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { basic, get, openWire, type Wire } from '../fixtures/wire.ts'

const ROUNDS = 320
const WARM_UP_ROUNDS = 40
const SIGNIFICANT_P = 0.01
const LEAST_PLANTED_MS = 2
// If the noise grows meanwhile, it hides a leak that was sized before.
const PLANTED_TRIES = 4
const LOAD_CONNECTIONS = 3

/** The name with delayed refusals, as if the sidecar did more work for an existing name. */
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

// All names have the length of the unknown names. The lowest costs make rounds quick, and leaks that do not grow with
// the cost are a larger part of the time.
const PLAIN = 'entry-of-cost-4'
const OTHER_COST = 'entry-of-cost-5'
const DEAREST = 'entry-of-cost-6'
const KEPT_OLD = 'entry-4-kept-5-'

const MACHINE = 'entry-4-machine'

const ONE_COST = [entryOf(PLAIN, 4)]
const MACHINES = [entryOf(PLAIN, 4), entryWithMachinePasswords(MACHINE)]
const MIXTURE = [
  entryOf(PLAIN, 4),
  entryOf(OTHER_COST, 5),
  entryOf(DEAREST, 6),
  entryWithKept(KEPT_OLD, 4, 5),
]

/** The addresses that check passwords, and whether the sidecar is busy meanwhile. */
const PLACES = [
  { path: '/v2/', state: 'quiet' },
  { path: '/v2/', state: 'under load' },
  { path: '/token', state: 'quiet' },
] as const

describe.each(PLACES)('at $path, $state, a wrong password', ({ path, state }) => {
  it.each<[what: string, entries: readonly string[], known: readonly string[], passwordOf: () => string]>([
    ['among entries of one cost', ONE_COST, [PLAIN], wrongPassword],
    ['among entries of several costs and a kept old one', MIXTURE, [PLAIN, DEAREST, KEPT_OLD], wrongPassword],
    ['if it is a machine password', MACHINES, [PLAIN, MACHINE], createMachinePassword],
  ])(
    'takes as long as an unknown name, %s',
    { timeout: 600_000 },
    async (_what, entries, known, passwordOf) => {
      const upstream = await upstreamForTest(answering(OK))
      const sidecar = await sidecarForTest({
        upstreamPort: upstream.port,
        users: ALICE_ENTRY + entries.join(''),
        // Each busy connection sends more requests the longer a round takes.
        bcryptPool: createBcryptPool,
        env: { SIDECAR_THROTTLE: 'off', SIDECAR_MAX_REQUESTS_PER_CONNECTION: 'off' },
      })
      if (state === 'under load') await keepBusy(sidecar)
      onTestFinished(() => {
        planted.username = ''
      })
      const compare = await createComparison(sidecar, known, { path, passwordOf })

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
    },
  )
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

function entryWithMachinePasswords(username: string): string {
  const entry = entryOf(username, 4)
  const lines = Array.from({ length: 100 }, () => machinePasswordFor(entry, { allow: ['pull'] }).line)
  return entry + lines.join('')
}

function wrongPassword(): string {
  return randomText(16)
}

interface Compared {
  /** The p-value of each name. */
  readonly probabilities: ReadonlyMap<string, number>
  /** The interquartile range of the times for unknown names. */
  readonly spreadMs: number
}

interface Guesses {
  readonly path: string
  readonly passwordOf: () => string
}

function significant({ probabilities }: Compared): readonly string[] {
  return [...probabilities].filter(([, p]) => p <= SIGNIFICANT_P).map(([username]) => username)
}

/**
 * Compares the refusal times of each name with those of unknown names. Each kind has its own kept-alive connection, and
 * each round asks every kind once in random order, so that drift affects all kinds equally.
 */
async function createComparison(sidecar: TestSidecar, known: readonly string[], guesses: Guesses) {
  const { path, passwordOf } = guesses
  const wires = new Map<string, Wire>()
  for (const kind of [...known, 'unknown']) wires.set(kind, await openWire(sidecar))

  return async function compare(usernames: readonly string[], rounds: number): Promise<Compared> {
    const kinds = [...usernames, 'unknown'].map((kind) => ({ kind, times: [] as number[] }))
    for (let round = 0; round < rounds; round++) {
      for (const { kind, times } of shuffled(kinds)) {
        const username = kind === 'unknown' ? randomText(PLAIN.length) : kind
        const request = get(path, basic(`${username}:${passwordOf()}`))
        times.push(await timeOfRefusal(wires.get(kind), request))
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

async function timeOfRefusal(wire: Wire | undefined, request: string): Promise<number> {
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

/** Sends requests of a logged-in user on separate connections until the test ends. */
async function keepBusy(sidecar: TestSidecar): Promise<void> {
  let isOver = false
  const wires = await Promise.all(Array.from({ length: LOAD_CONNECTIONS }, () => openWire(sidecar)))
  const lanes = wires.map(async (wire) => {
    while (!isOver) {
      expect(await wire.send(get('/v2/', basic(ALICE)))).toMatch(/^HTTP\/1\.1 200 /)
      // Below saturation, because there the test would measure the queue, which hides differences.
      await pause(1)
    }
  })
  onTestFinished(async () => {
    isOver = true
    await Promise.all(lanes)
  })
}
