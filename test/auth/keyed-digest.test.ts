// Tests the digests that replace credentials in memory.

import { expect, it } from 'vitest'
import { createKeyedDigest } from '../../src/auth/keyed-digest.ts'

it('is the same for equal parts, and another for other parts with the same text in a row', () => {
  const digestOf = createKeyedDigest()
  expect(digestOf(['ab', 'c'])).toBe(digestOf(['ab', 'c']))
  const lists = [['ab', 'c'], ['a', 'bc'], ['abc'], ['ab', 'c', ''], ['2:ab', '1:c'], ['2:ab1:c']]
  expect(new Set(lists.map(digestOf)).size).toBe(lists.length)
})

it('depends on a key that each digest makes for itself', () => {
  expect(createKeyedDigest()(['a'])).not.toBe(createKeyedDigest()(['a']))
})
