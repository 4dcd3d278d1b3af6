// Runs bcrypt checks in worker threads.

import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Piscina } from 'piscina'
import type { Comparison } from './bcrypt.ts'

export interface BcryptPool {
  /** Start at most this many checks. More would wait in Piscina's queue, which is not fair between sources. */
  readonly threads: number
  /** Resolves to the index of the hash that matches, or -1, or `busy` if the pool is closed. */
  compare(comparison: Comparison): Promise<number | 'busy'>
  readonly comparisons: number
  /** Resolves after the running checks, which take seconds at most. */
  close(): Promise<void>
}

const MAX_THREADS = Math.max(1, Math.min(4, availableParallelism() - 1))

// Starting a thread takes 60 ms of CPU time, and keeping one takes 10 MiB (measured).
const IDLE_TIMEOUT_MS = 10_000

export interface BcryptPoolOptions {
  readonly idleTimeoutMs?: number
  /** The file that threads load. */
  readonly file?: string
  readonly loadPiscina?: () => Promise<{ readonly Piscina: typeof Piscina }>
}

/** One check takes 70 ms at cost 10. On the event loop, it would delay every transfer. */
export function createBcryptPool(options: BcryptPoolOptions = {}): BcryptPool {
  let pool: Promise<Piscina<Comparison, number>> | undefined
  let startError: Error | undefined
  let comparisons = 0
  let isClosed = false
  const running = new Set<Promise<number>>()

  async function compare(comparison: Comparison): Promise<number | 'busy'> {
    if (isClosed) return 'busy'
    startError = undefined
    comparisons += 1
    pool ??= startPool(options, (error) => {
      pool = undefined
      startError = error
    })
    // Piscina rejects with "Terminating worker thread", which hides the cause.
    const check = pool
      .then((started) => started.run(comparison))
      .catch((error: unknown) => {
        throw startError ?? error
      })
    running.add(check)
    return check.finally(() => running.delete(check))
  }

  async function close(): Promise<void> {
    isClosed = true
    // Node 20 aborts the whole process if a thread is terminated while it loads a module.
    await Promise.allSettled(running)
    await (await pool?.catch(() => undefined))?.destroy()
  }

  return {
    threads: MAX_THREADS,
    compare,
    get comparisons() {
      return comparisons
    },
    close,
  }
}

async function startPool(
  options: BcryptPoolOptions,
  onFailure: (error: Error) => void,
): Promise<Piscina<Comparison, number>> {
  const { idleTimeoutMs: idleTimeout = IDLE_TIMEOUT_MS, file: filename = workerFile() } = options
  const { loadPiscina = () => import('piscina') } = options
  const { Piscina } = await loadPiscina().catch((error: unknown) => {
    onFailure(error as Error)
    throw error
  })
  const pool = new Piscina<Comparison, number>({
    filename,
    minThreads: 0,
    maxThreads: MAX_THREADS,
    idleTimeout,
  })
  // If a thread cannot start, the check that waits for it fails, and the next check uses a new pool.
  pool.on('error', (error: Error) => {
    onFailure(error)
    void pool.destroy()
  })
  return pool
}

function workerFile(): string {
  const self = import.meta.url
  return fileURLToPath(new URL(`./bcrypt${extname(self)}`, self))
}
