// Tests that only our own tokens are accepted, and only for their hour.

import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto'
import { SignJWT, UnsecuredJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { createSignedTokens, type TokenHolder } from '../../src/tokens/signed-tokens.ts'
import { deriveTokenKeys } from '../../src/tokens/token-keys.ts'

const KEY = randomBytes(32)
const START_MS = 1_800_000_000_000
const ALICE: TokenHolder = { kind: 'user', username: 'alice', fingerprint: 'f' }

function tokensAt(key = KEY) {
  const clock = { ms: START_MS }
  return { clock, ...createSignedTokens({ key, now: () => clock.ms }) }
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const decode = (part = ''): Record<string, unknown> =>
  JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>

const CLAIMS = {
  kind: 'user',
  sub: 'alice',
  fingerprint: 'f',
  iss: 'registry-sidecar',
  aud: 'registry-sidecar',
  iat: START_MS / 1000,
  exp: START_MS / 1000 + 3600,
}

/** A token with this head and these claims, signed with the right key by HMAC-SHA256. */
function sign(claims: object, head: object = {}, key = KEY): string {
  const { signing, id } = deriveTokenKeys(key)
  const input = `${encode({ alg: 'HS256', typ: 'JWT', kid: id, ...head })}.${encode(claims)}`
  return `${input}.${createHmac('sha256', signing).update(input).digest('base64url')}`
}

describe('a token', () => {
  it.each<[string, TokenHolder]>([
    ['anonymous', { kind: 'anonymous' }],
    ['a user', ALICE],
    ['a user called anonymous', { ...ALICE, username: 'anonymous' }],
    ['a user with a long name in another script', { ...ALICE, username: '\u{1f511}'.repeat(63) }],
    ['a user whose name needs escapes', { ...ALICE, username: '"\\'.repeat(127) }],
  ])('says that its holder is %s', async (_who, holder) => {
    const { issue, read } = tokensAt()
    expect(await read(await issue(holder))).toMatchObject({ kind: 'valid', holder })
  })

  it('is the one that this test makes, so that the changed ones below differ in one point', async () => {
    expect(await tokensAt().read(sign(CLAIMS))).toEqual({
      kind: 'valid',
      holder: ALICE,
      validUntil: START_MS + 3_720_000,
    })
  })

  it('is valid for an hour and two minutes, and then expired', async () => {
    const { issue, read, clock } = tokensAt()
    const token = await issue(ALICE)
    clock.ms += 3_719_000
    expect(await read(token)).toMatchObject({ kind: 'valid' })
    clock.ms += 1_000
    expect(await read(token)).toEqual({ kind: 'expired' })
  })

  it('stays valid when the process starts again with the same key', async () => {
    expect(await tokensAt().read(await tokensAt().issue(ALICE))).toMatchObject({ kind: 'valid' })
  })

  it('says nothing about rights, the password or its hash', async () => {
    const { issue, fingerprintOf } = tokensAt()
    const fingerprint = fingerprintOf('alice', '$2b$10$hash')
    const token = await issue({ ...ALICE, fingerprint })
    expect(Object.keys(decode(token.split('.')[1])).sort()).toEqual(
      ['aud', 'exp', 'fingerprint', 'iat', 'iss', 'kind', 'sub'].sort(),
    )
    expect(fingerprint).toMatch(/^[\w-]{22}$/)
  })
})

describe('a token is refused', () => {
  const foreign = randomBytes(32)
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

  it.each<[string, () => string | Promise<string>]>([
    ['of another sidecar', () => tokensAt(foreign).issue(ALICE)],
    ['of another sidecar that names our key', () => sign(CLAIMS, { kid: deriveTokenKeys(KEY).id }, foreign)],
    ['without the name of a key', () => sign(CLAIMS, { kid: undefined })],
    ['with a file as the name of its key', () => sign(CLAIMS, { kid: '../../dev/null' })],
    ['without a signature', () => new UnsecuredJWT(CLAIMS).encode()],
    ['with the algorithm "none" and our signature', () => sign(CLAIMS, { alg: 'none' })],
    ['with the algorithm HS512', () => sign(CLAIMS, { alg: 'HS512' })],
    [
      'signed with RSA',
      () =>
        new SignJWT(CLAIMS)
          .setProtectedHeader({ alg: 'RS256', kid: deriveTokenKeys(KEY).id })
          .sign(privateKey),
    ],
    [
      'signed with a public key as the secret',
      () =>
        new SignJWT(CLAIMS)
          .setProtectedHeader({ alg: 'HS256', typ: 'JWT', kid: deriveTokenKeys(KEY).id })
          .sign(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }))),
    ],
    [
      'signed with the stored key instead of the derived one',
      () =>
        new SignJWT(CLAIMS)
          .setProtectedHeader({ alg: 'HS256', typ: 'JWT', kid: deriveTokenKeys(KEY).id })
          .sign(KEY),
    ],
    ['that brings its own key', () => sign(CLAIMS, { jwk: { kty: 'oct', k: 'AAAA' }, kid: 'x' }, foreign)],
    ['of another type', () => sign(CLAIMS, { typ: 'at+jwt' })],
    ['with an extension that must be understood', () => sign(CLAIMS, { crit: ['b64'], b64: false })],
    ['of another issuer', () => sign({ ...CLAIMS, iss: 'auth.example' })],
    ['for another service', () => sign({ ...CLAIMS, aud: 'other' })],
    ['that never expires', () => sign({ ...CLAIMS, exp: undefined })],
    ['whose expiry is text', () => sign({ ...CLAIMS, exp: '9999999999' })],
    ['of an unknown kind', () => sign({ ...CLAIMS, kind: 'admin' })],
    ['of a user without a name', () => sign({ ...CLAIMS, sub: undefined })],
    ['of a user without a fingerprint', () => sign({ ...CLAIMS, fingerprint: undefined })],
    ['whose claims are a list', () => sign([CLAIMS])],
    ['with another claim under the same signature', () => replacePart(1, encode({ ...CLAIMS, sub: 'bob' }))],
    ['with another head under the same signature', () => replacePart(0, encode({ alg: 'HS256' }))],
    ['that is empty', () => ''],
    ['of one part', () => 'abc'],
    ['of four parts', () => `${sign(CLAIMS)}.abc`],
    ['of five parts', () => 'a.b.c.d.e'],
    ['with an empty signature', () => replacePart(2, '')],
    ['with a shorter signature', () => sign(CLAIMS).slice(0, -1)],
    ['with padding', () => `${sign(CLAIMS)}=`],
    ['in the other alphabet', () => replacePart(2, '+'.repeat(43))],
    ['with a blank', () => sign(CLAIMS).replace('.', '. ')],
    ['with bytes that are not JSON', () => replacePart(1, '____')],
    ['that is too long', () => sign({ ...CLAIMS, sub: 'a'.repeat(2_000) })],
    ['of a hundred kilobytes', () => `${'a'.repeat(50_000)}.${'a'.repeat(50_000)}.${'a'.repeat(43)}`],
  ])('%s', async (_what, make) => {
    expect(await tokensAt().read(await make())).toMatchObject({ kind: 'wrong' })
  })

  it('with other unused bits in its last character, so that one token has one text', async () => {
    const token = sign(CLAIMS)
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(token.at(-1) ?? '')
    for (const other of [1, 2, 3].map((bits) => token.slice(0, -1) + (alphabet[last + bits] ?? ''))) {
      expect(Buffer.from(other.slice(-43), 'base64url')).toEqual(Buffer.from(token.slice(-43), 'base64url'))
      expect(await tokensAt().read(other)).toMatchObject({ kind: 'wrong' })
    }
  })

  it('with a reason that repeats nothing of it', async () => {
    for (const token of ['s3cr3t', sign(CLAIMS, { kid: 's3cr3t' }), sign({ ...CLAIMS, aud: 's3cr3t' })])
      expect(JSON.stringify(await tokensAt().read(token))).not.toMatch(/s3cr3t|eyJ/)
  })

  it('as wrong and not as expired if an old one has a wrong signature', async () => {
    const { read, clock } = tokensAt()
    clock.ms += 86_400_000
    expect(await read(replacePart(2, 'A'.repeat(43)))).toMatchObject({ kind: 'wrong' })
  })

  function replacePart(index: number, part: string): string {
    return sign(CLAIMS).split('.').toSpliced(index, 1, part).join('.')
  }
})

describe('a fingerprint', () => {
  const { fingerprintOf } = tokensAt()

  it.each([
    ['another hash', fingerprintOf('alice', '$2b$10$other')],
    ['another user', fingerprintOf('bob', '$2b$10$hash')],
    ['a shifted border', fingerprintOf('alice$', '2b$10$hash')],
    ['another key', tokensAt(randomBytes(32)).fingerprintOf('alice', '$2b$10$hash')],
  ])('differs for %s', (_what, other) => {
    expect(other).not.toBe(fingerprintOf('alice', '$2b$10$hash'))
  })
})
