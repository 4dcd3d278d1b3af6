// Writes lines to a target without waiting for it, with bounded memory.
// Threat: a full disk or a stopped reader delays transfers. So lines are dropped at the memory limit.

import { setTimeout as pause } from 'node:timers/promises'
import { errorMessage } from '../errors/errors.ts'

export interface LineTarget {
  /** Resolves to `replaced` if a partly written line must be written again. Rejects while the target is unusable. */
  prepare(): Promise<'same' | 'replaced'>
  /** Resolves to the number of bytes that were written; 0 if the target accepts none now. */
  write(bytes: Buffer): Promise<number>
  close(): Promise<void>
}

export interface LineQueue {
  add(line: string): void
  wake(): void
  readonly dropped: number
  /** Waits at most a second for the lines in memory. */
  close(): Promise<void>
}

export interface LineQueueOptions {
  readonly maxBytes?: number
  readonly onBlocked: (reason: string) => void
  readonly onRecovered: (dropped: number) => void
  readonly onLost: (lines: number) => void
}

const MAX_BYTES = 4 * 1024 * 1024
const BATCH_BYTES = 64 * 1024
const RETRY_MS = 200
const FLUSH_TIMEOUT_MS = 1_000

export const TOO_SLOW = 'its reader is too slow'

export function createLineQueue(target: LineTarget, options: LineQueueOptions): LineQueue {
  const { maxBytes = MAX_BYTES, onLost } = options
  const outage = createOutage(options)
  const waiting = createWaitingLines()
  const closing = new AbortController()
  let isWoken = false
  let pumping: Promise<void> | undefined
  let dropped = 0

  function start(): void {
    if (!closing.signal.aborted) pumping ??= pump()
  }

  async function pump(): Promise<void> {
    while ((waiting.bytes > 0 || isWoken) && !closing.signal.aborted) {
      isWoken = false
      const hasWritten = await writeSome()
      if (!hasWritten) await pause(RETRY_MS, undefined, closing).catch(() => undefined)
    }
    pumping = undefined
  }

  async function writeSome(): Promise<boolean> {
    try {
      if ((await target.prepare()) === 'replaced') waiting.beginLineAgain()
      if (waiting.bytes === 0) return true
      const written = await target.write(waiting.first(BATCH_BYTES))
      waiting.remove(written)
      // The outage ends only when half of the memory is free. Otherwise a slow reader would cause a log line for each batch.
      if (waiting.bytes <= maxBytes / 2 && written > 0) outage.end(dropped)
      return written > 0
    } catch (error) {
      outage.begin(errorMessage(error))
      return false
    }
  }

  return {
    add(line) {
      const bytes = Buffer.from(line)
      if (waiting.bytes + bytes.length > maxBytes) {
        dropped += 1
        if (!outage.isOn) outage.begin(TOO_SLOW)
        return
      }
      waiting.push(bytes)
      start()
    },
    wake() {
      isWoken = true
      start()
    },
    get dropped() {
      return dropped
    },
    async close() {
      const deadline = pause(FLUSH_TIMEOUT_MS, undefined, { ref: false })
      await Promise.race([pumping, deadline])
      closing.abort()
      await Promise.race([target.close(), deadline])
      if (waiting.count > 0) onLost(waiting.count)
    },
  }
}

function createOutage({ onBlocked, onRecovered }: Pick<LineQueueOptions, 'onBlocked' | 'onRecovered'>) {
  let problem: string | undefined
  let reported = 0
  return {
    get isOn() {
      return problem !== undefined
    },
    begin(reason: string): void {
      if (problem === reason) return
      problem = reason
      onBlocked(reason)
    },
    end(dropped: number): void {
      if (problem === undefined) return
      const count = dropped - reported
      problem = undefined
      reported = dropped
      onRecovered(count)
    },
  }
}

function createWaitingLines() {
  const lines: Buffer[] = []
  let total = 0
  let offset = 0
  return {
    get bytes() {
      return total
    },
    get count() {
      return lines.length
    },
    push(line: Buffer): void {
      lines.push(line)
      total += line.length
    },
    first(bytes: number): Buffer {
      let [count, length] = [0, 0]
      for (const line of lines) {
        if (count > 0 && length + line.length > bytes) break
        count += 1
        length += line.length
      }
      return Buffer.concat(lines.slice(0, count)).subarray(offset)
    },
    remove(written: number): void {
      offset += written
      let count = 0
      for (const { length } of lines) {
        if (offset < length) break
        offset -= length
        total -= length
        count += 1
      }
      lines.splice(0, count)
    },
    beginLineAgain(): void {
      offset = 0
    },
  }
}
