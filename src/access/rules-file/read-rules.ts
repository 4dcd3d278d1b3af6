// Reads a rules file within limits of size, time and memory.
// Threat: the YAML parser needs minutes for a hostile file of 200 KB. So a worker thread is terminated at a deadline.

import { isUtf8 } from 'node:buffer'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Piscina } from 'piscina'
import { errorCode } from '../../errors/errors.ts'
import type { RulesFile, RulesReading } from './rules-file.ts'
import type { Problem } from './yaml-text.ts'

// About 3,000 rules. For the largest file, parsing the result of the thread blocks the event loop for 5 ms (measured).
export const MAX_RULES_FILE_BYTES = 256 * 1024

const PARSE_TIMEOUT_MS = 10_000

const MAX_HEAP_MIB = 256

export class RulesFileError extends Error {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'))
    this.name = 'RulesFileError'
    this.problems = problems
  }
}

/** Reading took too much time or memory. On a busy machine that can happen to a valid file, so try again. */
export class RulesLimitError extends RulesFileError {}

export function formatProblem({ line, column, message }: Problem): string {
  return `line ${line}, column ${column}: ${message}`
}

export interface ReadOptions {
  readonly timeoutMs?: number
  readonly idleTimeoutMs?: number
  /** The file that the thread loads. */
  readonly workerFile?: string
}

export interface RulesReader {
  /** Rejects with RulesFileError, or another error if the thread cannot start. Ends within seconds for any bytes. */
  read(bytes: Buffer): Promise<RulesFile>
  close(): Promise<void>
}

// A thread takes 16 MiB, and starting it 170 ms of CPU time (measured). So a burst of changes uses one thread.
const IDLE_TIMEOUT_MS = 10_000

const WORKER_FILE = fileURLToPath(new URL(`./rules-worker${extname(import.meta.url)}`, import.meta.url))

export function createRulesReader({
  timeoutMs = PARSE_TIMEOUT_MS,
  idleTimeoutMs = IDLE_TIMEOUT_MS,
  workerFile = WORKER_FILE,
}: ReadOptions = {}): RulesReader {
  let pool: Promise<Piscina<string, string>> | undefined
  let startError: Error | undefined
  let loaded: Promise<string> | undefined
  return {
    read: async (bytes) => {
      if (bytes.length > MAX_RULES_FILE_BYTES)
        throw problem(`the file is larger than ${MAX_RULES_FILE_BYTES / 1024} KiB`)
      if (!isUtf8(bytes)) throw problem('the file is not UTF-8 text')
      startError = undefined
      pool ??= startPool({ file: workerFile, idleTimeoutMs }, (error) => {
        pool = undefined
        startError = error
      })
      // Node 20 aborts the whole process when a thread is terminated while it loads a module.
      loaded = pool.then((started) => started.run(''))
      // Piscina rejects with "Terminating worker thread", which hides the cause.
      await loaded.catch((error: unknown) => {
        throw startError ?? error
      })
      const reading = await parseIn(await pool, bytes.toString('utf8'), timeoutMs)
      if (reading.kind === 'problems') throw new RulesFileError(reading.problems)
      return reading.file
    },
    close: async () => {
      await Promise.allSettled([loaded])
      await (await pool?.catch(() => undefined))?.destroy()
    },
  }
}

interface PoolOptions {
  readonly file: string
  readonly idleTimeoutMs: number
}

async function startPool(
  { file: filename, idleTimeoutMs: idleTimeout }: PoolOptions,
  onFailure: (error: Error) => void,
): Promise<Piscina<string, string>> {
  const { Piscina } = await import('piscina').catch((error: unknown) => {
    onFailure(error as Error)
    throw error
  })
  const pool = new Piscina<string, string>({
    filename,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  })
  // If the thread cannot start, this reading fails, and the next reading uses a new pool.
  pool.on('error', (error: Error) => {
    onFailure(error)
    void pool.destroy()
  })
  return pool
}

/** Keeps no thread. */
export async function readRules(bytes: Buffer, options?: ReadOptions): Promise<RulesFile> {
  const reader = createRulesReader(options)
  try {
    return await reader.read(bytes)
  } finally {
    await reader.close()
  }
}

async function parseIn(
  pool: Piscina<string, string>,
  text: string,
  timeoutMs: number,
): Promise<RulesReading> {
  const signal = AbortSignal.timeout(timeoutMs)
  const reading = await pool.run(text, { signal }).catch((error: unknown) => {
    if (signal.aborted)
      throw new RulesLimitError([atStart(`reading the file takes over ${timeoutMs / 1000} s`)])
    if (errorCode(error) === 'ERR_WORKER_OUT_OF_MEMORY')
      throw new RulesLimitError([atStart('reading the file takes too much memory')])
    throw error
  })
  return JSON.parse(reading) as RulesReading
}

function problem(message: string): RulesFileError {
  return new RulesFileError([atStart(message)])
}

function atStart(message: string): Problem {
  return { line: 1, column: 1, message }
}
