// Tests which tokens are accepted from whom.

import { hashSync } from 'bcryptjs'
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { compileRestriction } from '../../src/access/restriction.ts'
import { createThrottle } from '../../src/auth/throttle.ts'
import { createSignedTokens } from '../../src/tokens/signed-tokens.ts'
import { createTokenVerifier } from '../../src/tokens/token-verifier.ts'
import { machinePasswordDigest } from '../../src/users/machine-passwords/machine-secret.ts'
import { machinePasswordFor, type TestMachinePassword } from '../fixtures/machine-password.ts'
import { parseHtpasswd } from '../../src/users/htpasswd.ts'
import { bindingOf, formatKeptLine } from '../../src/users/old-password-line.ts'

const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const HERE = '192.0.2.1'
const HASH = hashSync('correct horse', 4)
const OLD = hashSync('battery staple', 4)
const ALICE = `alice:${HASH}\n`
const KEPT = formatKeptLine({
  username: 'alice',
  hash: OLD,
  validUntil: NOW + 60_000,
  binding: bindingOf(HASH),
})

function scene(users = ALICE) {
  const parse = (text: string) => parseHtpasswd(Buffer.from(text), 'htpasswd', NOW)
  const state = { now: NOW, table: parse(users) }
  const tokens = createSignedTokens({ key: randomBytes(32), now: () => state.now })
  const throttle = createThrottle({ failures: 20, windowMs: 60_000 }, () => state.now)
  const verifier = createTokenVerifier({ tokens, throttle, table: () => state.table, now: () => state.now })
  return {
    state,
    tokens,
    throttle,
    verify: (token: string) => verifier.verify(token, HERE),
    tokenFor: (username: string, hash: string, machinePassword?: string) =>
      tokens.issue({
        kind: 'user',
        username,
        fingerprint: tokens.fingerprintOf(username, hash),
        machinePassword,
      }),
    reload: (text: string) => {
      state.table = parse(text)
    },
  }
}

const alice = { kind: 'user', username: 'alice', isOldPassword: false, validUntil: NOW + 3_720_000 }

describe('a token', () => {
  it('admits its user as long as the entry stays', async () => {
    const { verify, tokenFor, reload } = scene()
    const token = await tokenFor('alice', HASH)
    reload(`bob:${OLD}\n${ALICE}`)
    expect(await verify(token)).toEqual(alice)
  })

  it('of anonymous needs no user, and a user of that name has another', async () => {
    const { verify, tokens, tokenFor } = scene(`anonymous:${HASH}\n`)
    expect(await verify(await tokens.issue({ kind: 'anonymous' }))).toEqual({ kind: 'anonymous' })
    expect(await verify(await tokenFor('anonymous', HASH))).toMatchObject({
      kind: 'user',
      username: 'anonymous',
    })
  })

  it.each([
    ['the user was removed', `bob:${OLD}\n`, 'token of a removed user'],
    ['the password changed', `alice:${OLD}\n`, 'token of a replaced password'],
    [
      'the same password was hashed again',
      `alice:${hashSync('correct horse', 4)}\n`,
      'token of a replaced password',
    ],
  ])('ends when %s', async (_what, users, reason) => {
    const { verify, tokenFor, reload } = scene()
    const token = await tokenFor('alice', HASH)
    reload(users)
    expect(await verify(token)).toEqual({ kind: 'ended', reason })
  })

  it('of an old password ends with it', async () => {
    const { verify, tokenFor, state } = scene(`${ALICE}${KEPT}\n`)
    const token = await tokenFor('alice', OLD)
    expect(await verify(token)).toEqual({ ...alice, isOldPassword: true })
    state.now += 60_000
    expect(await verify(token)).toEqual({ kind: 'ended', reason: 'token of a replaced password' })
  })

  it('of a machine password carries its limits, and ends with it', async () => {
    const { verify, tokens, state } = scene()
    const restriction = compileRestriction({ allow: ['pull'], repositories: ['team/**'] })
    const machine = { id: 'm1', username: 'alice', label: '', validUntil: NOW + 60_000, restriction, line: 2 }
    const withMachine = (digest: string) => ({
      ...state.table,
      machinePasswords: new Map([[digest, machine]]),
    })
    state.table = withMachine('digest')
    const fingerprint = tokens.fingerprintOf('alice', 'digest')
    const token = await tokens.issue({ kind: 'user', username: 'alice', fingerprint, machinePassword: 'm1' })
    expect(await verify(token)).toEqual({ ...alice, machinePassword: machine })
    state.table = withMachine('digest of another secret')
    expect(await verify(token)).toEqual({ kind: 'ended', reason: 'token of a revoked machine password' })
    state.table = withMachine('digest')
    state.now += 60_000
    expect(await verify(token)).toEqual({ kind: 'ended', reason: 'token of an expired machine password' })
  })

  it('of one user is no token of another with the same hash', async () => {
    const { verify, tokens } = scene(`${ALICE}bob:${HASH}\n`)
    const fingerprint = tokens.fingerprintOf('alice', HASH)
    const token = await tokens.issue({ kind: 'user', username: 'bob', fingerprint })
    expect(await verify(token)).toMatchObject({ kind: 'ended' })
  })
})

describe('wrong tokens', () => {
  it('count against the throttle, and valid ones pass it', async () => {
    const { verify, throttle, tokenFor } = scene()
    for (let i = 0; i < 20; i++) expect(await verify(`wrong${i}`)).toMatchObject({ kind: 'wrong' })
    expect(await verify('wrong')).toMatchObject({ kind: 'throttled', retryAfterMs: 60_000 })
    expect(throttle.retryAfterMs({ source: HERE, username: 'alice' })).toBe(60_000)
    expect(await verify(await tokenFor('alice', HASH))).toEqual(alice)
  })

  it('do not include those that ended, because clients use them until they notice', async () => {
    const { verify, throttle, tokenFor, state } = scene()
    const tokens = await Promise.all([tokenFor('alice', HASH), tokenFor('alice', OLD), tokenFor('bob', HASH)])
    state.now += 86_400_000
    for (let i = 0; i < 30; i++) for (const token of tokens) await verify(token)
    expect(throttle.hasFailed(HERE)).toBe(false)
  })
})

describe('a token for a machine password', () => {
  const machine = (validForMs: number) => machinePasswordFor(ALICE, { allow: ['pull'], validForMs })
  const tokenOf = (
    { tokenFor }: ReturnType<typeof scene>,
    password: TestMachinePassword,
    username = 'alice',
  ) => tokenFor(username, machinePasswordDigest(password.secret), password.id)

  it('carries its restriction', async () => {
    const password = machine(60_000)
    const there = scene(ALICE + password.line)
    there.state.now = Date.now()
    expect(await there.verify(await tokenOf(there, password))).toMatchObject({
      username: 'alice',
      machinePassword: { id: password.id, restriction: { allow: ['pull'] } },
    })
  })

  it('ends when it is revoked, when it expires, and with its user', async () => {
    const password = machine(60_000)
    const there = scene(ALICE + password.line)
    there.state.now = Date.now()
    const token = await tokenOf(there, password)
    there.state.now += 60_000
    expect(await there.verify(token)).toEqual({
      kind: 'ended',
      reason: 'token of an expired machine password',
    })
    there.reload(ALICE)
    expect(await there.verify(token)).toEqual({
      kind: 'ended',
      reason: 'token of a revoked machine password',
    })
    there.reload(`bob:${OLD}\n${password.line}`)
    expect(await there.verify(token)).toEqual({ kind: 'ended', reason: 'token of a removed user' })
  })

  it('is not valid for another user', async () => {
    const password = machine(60_000)
    const there = scene(`${ALICE}bob:${OLD}\n${password.line}`)
    const token = await tokenOf(there, password, 'bob')
    expect(await there.verify(token)).toEqual({
      kind: 'ended',
      reason: 'token of a revoked machine password',
    })
  })
})
