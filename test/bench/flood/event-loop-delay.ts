// Measures the event loop delay inside the sidecar process.
//
// Node preloads a module that records the delay and writes it to a file at each signal.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

const SIGNAL = 'SIGUSR2'
const RESOLUTION_MS = 1
const DEADLINE_MS = 10_000

export interface EventLoopDelay {
  readonly p99: number
  readonly max: number
}

export interface EventLoopProbe {
  /** Arguments that preload the module. */
  readonly nodeArgs: readonly string[]
  /**
   * Milliseconds by which the event loop of the process was late since the last call. Samples once a millisecond and
   * subtracts that millisecond.
   */
  read(pid: number): Promise<EventLoopDelay>
}

/** Writes the module as JavaScript because the sidecar runs without a TypeScript loader. */
export function createEventLoopProbe(folder: string): EventLoopProbe {
  const [module, output] = [path.join(folder, 'event-loop.mjs'), path.join(folder, 'event-loop.jsonl')]
  writeFileSync(module, moduleText(output))
  let linesRead = 0

  async function read(pid: number): Promise<EventLoopDelay> {
    process.kill(pid, SIGNAL)
    const deadline = performance.now() + DEADLINE_MS
    while (performance.now() < deadline) {
      const lines = existsSync(output) ? readFileSync(output, 'utf8').split('\n').slice(0, -1) : []
      const line = lines[linesRead]
      if (line !== undefined) {
        linesRead++
        return JSON.parse(line) as EventLoopDelay
      }
      await pause(20)
    }
    throw new Error('the sidecar does not report its event loop delay')
  }

  return { nodeArgs: ['--import', pathToFileURL(module).href], read }
}

// Worker threads preload the module too, but their event loops do not matter.
function moduleText(output: string): string {
  return `
import { appendFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const histogram = monitorEventLoopDelay({ resolution: ${RESOLUTION_MS} })
  histogram.enable()
  const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - ${RESOLUTION_MS})
  process.on('${SIGNAL}', () => {
    const seen = { p99: late(histogram.percentile(99)), max: late(histogram.max) }
    histogram.reset()
    appendFileSync(${JSON.stringify(output)}, JSON.stringify(seen) + '\\n')
  })
}
`
}
