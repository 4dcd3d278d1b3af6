// Tests the cache of right credentials.

import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createVerifiedCache, type VerifiedLogin } from '../../src/auth/verified-cache.ts'

const HERE = '192.0.2.1'

const login = (username: string, password: string, hash: string, source = HERE): VerifiedLogin => ({
  source,
  username,
  password,
  hash,
})

describe('a remembered success', () => {
  it('is found again', () => {
    const cache = createVerifiedCache(60_000)
    cache.remember(login('alice', 'secret', 'h'))
    expect(cache.recall(login('alice', 'secret', 'h'))).toBe('remembered')
  })

  it.each([
    ['of another name', login('alicf', 'b:c', 'h')],
    ['of another password', login('a', 'b:d', 'h')],
    ['of another hash', login('a', 'b:c', 'i')],
    ['of another source', login('a', 'b:c', 'h', '192.0.2.2')],
    ['with the source in the name', login(`${HERE}a`, 'b:c', 'h', '')],
    ['with a colon elsewhere', login('a:b', 'c', 'h')],
    ['with the hash in the name', login('ah', 'b:c', '')],
    ['with the password in the hash', login('a', '', 'hb:c')],
    ['with lengths in the name', login('a1:h3:b:c', '', '')],
  ])('is not found for a login %s', (_what, other) => {
    const cache = createVerifiedCache(60_000)
    cache.remember(login('a', 'b:c', 'h'))
    expect(cache.recall(other)).toBe('none')
  })

  it('is evicted by newer ones, so memory is bounded', () => {
    const cache = createVerifiedCache(60_000)
    for (let i = 0; i <= 20_000; i++) cache.remember(login(`user${i}`, 'p', 'h'))
    expect(cache.recall(login('user0', 'p', 'h'))).toBe('none')
    expect(cache.recall(login('user1', 'p', 'h'))).toBe('remembered')
  })

  it('is not kept if remembering is off', () => {
    const cache = createVerifiedCache('off')
    cache.remember(login('a', 'p', 'h'))
    expect(cache.recall(login('a', 'p', 'h'))).toBe('none')
  })

  it('expires regardless of use, and is lapsed for the same time again', () => {
    vi.useFakeTimers()
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const cache = createVerifiedCache(50)
    cache.remember(login('a', 'p', 'h'))
    const seen = Array.from({ length: 11 }, () => {
      const recollection = cache.recall(login('a', 'p', 'h'))
      vi.advanceTimersByTime(10)
      return recollection
    })
    expect(new Set(seen.slice(0, 5))).toEqual(new Set(['remembered']))
    expect(new Set(seen.slice(5, 10))).toEqual(new Set(['lapsed']))
    vi.advanceTimersByTime(10)
    expect(cache.recall(login('a', 'p', 'h'))).toBe('none')
  })
})
