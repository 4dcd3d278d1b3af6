// Tests verdicts on machine passwords, and their cost.

import { hashSync } from 'bcryptjs'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createVerifiedCache } from '../../src/auth/verified-cache.ts'
import { createThrottle } from '../../src/auth/throttle.ts'
import { createVerifier } from '../../src/auth/verifier.ts'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import { formatMachineLine } from '../../src/users/machine-passwords/machine-password-line.ts'
import {
  createMachinePassword,
  machinePasswordDigest,
} from '../../src/users/machine-passwords/machine-secret.ts'
import { bindingOf } from '../../src/users/old-password-line.ts'

const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const MINUTE = 60_000
const HERE = '192.0.2.1'
const FAILURES = 3
const [SECRET, OTHER] = [createMachinePassword(), createMachinePassword()]
const HASH = hashSync('correct horse', 4)
const USERS = `alice:${HASH}\nbob:${HASH}\n`

function lineFor(secret: string, validUntil = NOW + MINUTE): string {
  return formatMachineLine({
    id: '3f9a21bc',
    username: 'alice',
    digest: machinePasswordDigest(secret),
    validUntil,
    binding: bindingOf(HASH),
    restriction: { allow: ['pull'], repositories: ['team/**'] },
    label: '',
  })
}

function verifierOver(text: string) {
  const parse = (content: string) => parseHtpasswd(Buffer.from(content), 'htpasswd', NOW)
  const state = { table: parse(text), now: NOW, bcrypts: 0, used: [] as string[] }
  const throttle = createThrottle({ failures: FAILURES, windowMs: MINUTE }, () => 0)
  const verifier = createVerifier({
    table: () => state.table,
    cache: createVerifiedCache(MINUTE),
    attempts: {
      run: () => {
        state.bcrypts += 1
        return Promise.resolve({ kind: 'unmatched' })
      },
    },
    throttle,
    onUse: ({ id }) => state.used.push(id),
    now: () => state.now,
  })
  return {
    state,
    throttle,
    reload: (content: string) => {
      state.table = parse(content)
    },
    verify: (username: string, password: string) => verifier.verify({ username, password }, HERE),
  }
}

const refused = (reason: string, isKnown = true) => ({ kind: 'refused', reason, isKnown })
const WRONG = refused('wrong machine password')

describe('a machine password', () => {
  it('lets its user in, with its id and its restriction', async () => {
    const { verify, state } = verifierOver(USERS + lineFor(SECRET))
    const verdict = await verify('alice', SECRET)
    expect(verdict).toMatchObject({
      kind: 'ok',
      username: 'alice',
      isOldPassword: false,
      machinePassword: { id: '3f9a21bc', restriction: { allow: ['pull'], repositories: ['team/**'] } },
    })
    expect(state.used).toEqual(['3f9a21bc'])
    expect(state.bcrypts).toBe(0)
  })

  it.each<[what: string, username: string, password: string, verdict: object]>([
    ['another secret', 'alice', OTHER, WRONG],
    ['another user', 'bob', SECRET, WRONG],
    ['the same name in capitals', 'Alice', SECRET, refused('wrong machine password', false)],
    ['an unknown user', 'carol', OTHER, refused('wrong machine password', false)],
    ['the secret as the name', SECRET, SECRET, refused('wrong machine password', false)],
  ])(
    'is refused for %s, without bcrypt, and counts as a failure',
    async (_what, username, password, verdict) => {
      const { verify, state, throttle } = verifierOver(USERS + lineFor(SECRET))
      expect(await verify(username, password)).toEqual(verdict)
      expect(throttle.hasFailed(HERE)).toBe(true)
      expect([state.bcrypts, state.used]).toEqual([0, []])
    },
  )

  it('is refused from the millisecond at which it expires, with a reason of its own', async () => {
    const { verify, state } = verifierOver(USERS + lineFor(SECRET))
    state.now = NOW + MINUTE - 1
    expect(await verify('alice', SECRET)).toMatchObject({ kind: 'ok' })
    state.now = NOW + MINUTE
    expect(await verify('alice', SECRET)).toEqual(refused('machine password expired'))
    expect(await verify('bob', SECRET)).toEqual(WRONG)
  })

  it('is refused at the first request after a change, because nothing is remembered', async () => {
    for (const next of [
      USERS,
      `alice:${hashSync('new', 4)}\n${lineFor(SECRET)}`,
      `bob:${HASH}\n${lineFor(SECRET)}`,
    ]) {
      const { verify, reload } = verifierOver(USERS + lineFor(SECRET))
      for (let i = 0; i < 3; i++) expect(await verify('alice', SECRET)).toMatchObject({ kind: 'ok' })
      reload(next)
      expect((await verify('alice', SECRET)).kind).toBe('refused')
    }
  })

  it('throttles its source when it is wrong, and a right one gets in still', async () => {
    const { verify } = verifierOver(USERS + lineFor(SECRET))
    for (let i = 0; i < FAILURES; i++)
      expect(await verify('nobody', OTHER)).toMatchObject({ kind: 'refused' })
    expect(await verify('nobody', OTHER)).toMatchObject({ kind: 'throttled' })
    expect(await verify('alice', SECRET)).toMatchObject({ kind: 'ok' })
  })

  it('does not reset the count of wrong passwords, so its holder cannot guess the password of the user', async () => {
    const { verify, throttle } = verifierOver(USERS + lineFor(SECRET))
    const succeeded = vi.spyOn(throttle, 'succeeded')
    onTestFinished(() => {
      succeeded.mockRestore()
    })
    await verify('alice', SECRET)
    expect(succeeded).not.toHaveBeenCalled()
  })

  it('does the same work for every name and secret', async () => {
    const calls: string[] = []
    const record = <T>(name: string, value: T): T => {
      calls.push(name)
      return value
    }
    const { state } = verifierOver(USERS + lineFor(SECRET))
    const { entries, machinePasswords } = state.table
    const table = {
      ...state.table,
      entries: { has: (name: string) => record('has', entries.has(name)) } as typeof entries,
      machinePasswords: {
        get: (key: string) => record('get', machinePasswords.get(key)),
      } as typeof machinePasswords,
    }
    const verifier = createVerifier({
      table: () => table,
      cache: { recall: () => record('recall', 'none' as const), remember: () => undefined },
      attempts: { run: () => record('run', Promise.resolve({ kind: 'unmatched' })) },
      throttle: {
        retryAfterMs: () => record('retryAfterMs', 0),
        failed: () => {
          calls.push('failed')
        },
      },
      onUse: () => undefined,
      now: () => NOW,
    })
    for (const username of ['alice', 'bob', 'nobody', SECRET]) {
      calls.length = 0
      await verifier.verify({ username, password: OTHER }, HERE)
      expect(calls).toEqual(['get', 'retryAfterMs', 'failed', 'has'])
    }
  })

  it('leaves passwords alone that begin like one', async () => {
    const { verify, state } = verifierOver(USERS + lineFor(SECRET))
    expect(await verify('alice', 'rst_correct horse')).toEqual(refused('wrong password'))
    expect(await verify('alice', `${SECRET}x`)).toEqual(refused('wrong password'))
    expect(state.bcrypts).toBe(2)
  })
})
