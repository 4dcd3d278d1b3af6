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

export function formatProblem({ line, column, message }: Problem): string {
  return `line ${line}, column ${column}: ${message}`
}

export interface ReadOptions {
  readonly timeoutMs?: number
  readonly idleTimeoutMs?: number
}

export interface RulesReader {
  /** Rejects with RulesFileError. Ends within seconds for any bytes. */
  read(bytes: Buffer): Promise<RulesFile>
  close(): Promise<void>
}

// A thread takes 16 MiB, and starting it 170 ms of CPU time (measured). So a burst of changes uses one thread.
const IDLE_TIMEOUT_MS = 10_000

export function createRulesReader({
  timeoutMs = PARSE_TIMEOUT_MS,
  idleTimeoutMs = IDLE_TIMEOUT_MS,
}: ReadOptions = {}): RulesReader {
  let pool: Promise<Piscina<string, string>> | undefined
  let loaded: Promise<string> | undefined
  return {
    read: async (bytes) => {
      if (bytes.length > MAX_RULES_FILE_BYTES)
        throw problem(`the file is larger than ${MAX_RULES_FILE_BYTES / 1024} KiB`)
      if (!isUtf8(bytes)) throw problem('the file is not UTF-8 text')
      pool ??= startPool(idleTimeoutMs)
      // Node 20 aborts the whole process when a thread is terminated while it loads a module.
      loaded = pool.then((started) => started.run(''))
      await loaded
      const reading = await parseIn(await pool, bytes.toString('utf8'), timeoutMs)
      if (reading.kind === 'problems') throw new RulesFileError(reading.problems)
      return reading.file
    },
    close: async () => {
      await Promise.allSettled([loaded])
      await (await pool)?.destroy()
    },
  }
}

async function startPool(idleTimeout: number): Promise<Piscina<string, string>> {
  const { Piscina } = await import('piscina')
  return new Piscina<string, string>({
    filename: workerFile(),
    minThreads: 0,
    maxThreads: 1,
    idleTimeout,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  })
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
    if (signal.aborted) throw problem(`reading the file takes over ${timeoutMs / 1000} s`)
    if (errorCode(error) === 'ERR_WORKER_OUT_OF_MEMORY')
      throw problem('reading the file takes too much memory')
    throw error
  })
  return JSON.parse(reading) as RulesReading
}

function problem(message: string): RulesFileError {
  return new RulesFileError([{ line: 1, column: 1, message }])
}

function workerFile(): string {
  const self = import.meta.url
  return fileURLToPath(new URL(`./rules-worker${extname(self)}`, self))
}
