// Runs bcrypt checks in worker threads.

import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import type { Comparison } from './bcrypt.ts'

export interface BcryptPool {
  /** Start at most this many checks. More would wait in Piscina's queue, which is not fair between sources. */
  readonly threads: number
  /** Resolves to the index of the hash that matches, or -1, or `busy` if the pool is closing. */
  compare(comparison: Comparison): Promise<number | 'busy'>
  readonly comparisons: number
  close(): Promise<void>
}

const MAX_THREADS = Math.max(1, Math.min(4, availableParallelism() - 1))

const WARM_UP: Comparison = { password: 'x', hashes: [`$2b$04$${'.'.repeat(53)}`], dummyHashes: [] }

/** One check takes 70 ms at cost 10. On the event loop it would stop every transfer. */
export function createBcryptPool(): BcryptPool {
  const pool = new Piscina<Comparison, number>({
    filename: workerFile(),
    minThreads: MAX_THREADS,
    maxThreads: MAX_THREADS,
  })
  // One check runs on each thread. When all have ended, every thread has loaded its modules.
  const loaded = Promise.allSettled(Array.from({ length: MAX_THREADS }, () => pool.run(WARM_UP)))
  let comparisons = 0
  let closing: Promise<void> | undefined
  const isClosing = (): boolean => closing !== undefined

  async function compare(comparison: Comparison): Promise<number | 'busy'> {
    if (isClosing()) return 'busy'
    comparisons += 1
    try {
      return await pool.run(comparison)
    } catch (error) {
      if (isClosing()) return 'busy'
      throw error
    }
  }

  return {
    threads: MAX_THREADS,
    compare,
    get comparisons() {
      return comparisons
    },
    close: () => {
      // Node 20 aborts the whole process if a thread is terminated while it loads a module.
      closing ??= loaded.then(() => pool.destroy())
      return closing
    },
  }
}

function workerFile(): string {
  const self = import.meta.url
  return fileURLToPath(new URL(`./bcrypt${extname(self)}`, self))
}
