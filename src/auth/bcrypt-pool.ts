// Password checks in worker threads: one bcrypt costs 70 ms at cost 10 and would stop every transfer meanwhile.

import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import type { Comparison } from './bcrypt.ts'

export interface BcryptPool {
  /** How many checks run at once. Whoever hands over more lets them wait in no fair order: see attempts.ts. */
  readonly threads: number
  /** The index of the hash that the password belongs to, or -1; `busy` once the pool is closing. */
  compare(comparison: Comparison): Promise<number | 'busy'>
  /** Checks handed to a worker since the start. */
  readonly comparisons: number
  close(): Promise<void>
}

// One core stays free for the event loop, which carries every transfer.
const MAX_THREADS = Math.max(1, Math.min(4, availableParallelism() - 1))

// Well-formed, of the lowest cost, and no password's.
const WARM_UP: Comparison = { password: 'x', hashes: [`$2b$04$${'.'.repeat(53)}`], decoys: [] }

/** Worker threads that run bcrypt, all started at once and stopped by `close`. */
export function createBcryptPool(): BcryptPool {
  const pool = new Piscina<Comparison, number>({
    filename: workerFile(),
    minThreads: MAX_THREADS,
    maxThreads: MAX_THREADS,
  })
  // Each thread takes one: settled once all have loaded what they run.
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
      // The thread was ended under it, which says nothing about the password.
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
      // Node 20 aborts the whole process when a thread is terminated while it loads a module.
      closing ??= loaded.then(() => pool.destroy())
      return closing
    },
  }
}

// Beside this file, and TypeScript when this file is.
function workerFile(): string {
  const self = import.meta.url
  return fileURLToPath(new URL(`./bcrypt${extname(self)}`, self))
}
