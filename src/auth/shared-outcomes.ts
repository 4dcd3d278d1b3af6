// Equal work that is asked for several times at once is done once: a client opens ten connections with the same
// login, and the first of them pays.

import { createKeyedDigest } from './keyed-digest.ts'

export interface SharedOutcomes<T> {
  /** The outcome of `work`, or of the work for the same parts that is under way already. */
  of(parts: readonly string[], work: () => Promise<T>): Promise<T>
}

export function createSharedOutcomes<T>(): SharedOutcomes<T> {
  const digestOf = createKeyedDigest()
  const underWay = new Map<string, Promise<T>>()

  async function of(parts: readonly string[], work: () => Promise<T>): Promise<T> {
    const key = digestOf(parts)
    const shared = underWay.get(key)
    if (shared !== undefined) return shared
    const working = work()
    underWay.set(key, working)
    try {
      return await working
    } finally {
      underWay.delete(key)
    }
  }

  return { of }
}
