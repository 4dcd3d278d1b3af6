import { describe, expect, it } from 'vitest'
import { proofOf } from '../../../src/auth/status-proof.ts'
import { audienceOf } from '../../../src/http/status/status-key.ts'

const KEY = 'k'.repeat(43)
const NOW = 1_800_000_000_000
const ASKED = { path: '/status.json', now: NOW }

const audienceWith = (token: string, key: string | undefined = KEY) =>
  audienceOf(`Bearer ${token}`, key, ASKED)

describe('names are shown', () => {
  it.each([
    ['for the key', KEY],
    ['for a proof', proofOf(KEY, ASKED)],
    ['for a proof that is 10 s old', proofOf(KEY, { ...ASKED, now: NOW - 10_000 })],
  ])('%s', (_what, token) => {
    expect(audienceWith(token)).toBe('users')
  })
})

describe('names are not shown', () => {
  const proof = proofOf(KEY, ASKED)
  it.each([
    ['for another key', `${KEY}k`],
    ['for a proof of another key', proofOf(`${KEY}k`, ASKED)],
    ['for an older proof', proofOf(KEY, { ...ASKED, now: NOW - 10_001 })],
    ['for a proof of the future', proofOf(KEY, { ...ASKED, now: NOW + 10_001 })],
    ['for a proof with another time', proof.replace(/^\d+/, String(NOW + 1))],
    ['for a proof of another path', proofOf(KEY, { ...ASKED, path: '/events' })],
    ['for a part of a proof', proof.slice(0, -4)],
    ['for a proof without a time', proof.replace(/^\d+/, '')],
    ['for a time alone', `${NOW}.`],
  ])('%s', (_what, token) => {
    expect(audienceWith(token)).toBe('refused')
  })

  it('for anything if there is no key', () => {
    expect(audienceOf(`Bearer ${KEY}`, undefined, ASKED)).toBe('refused')
    expect(audienceOf(`Bearer ${proofOf('', ASKED)}`, undefined, ASKED)).toBe('refused')
  })

  it('without a token', () => {
    expect(audienceOf(undefined, KEY, ASKED)).toBe('anyone')
  })
})
