// Lets writes wait during a freeze, within limits of number and time.
// Threat: waiting writes use memory and connections, and one client could take all places.

import type { Timetable } from '../async/timetable.ts'

export type WaitOutcome = 'go-on' | 'too-long' | 'too-many' | 'left' | 'stopping'

export interface Waiter {
  /** A user, or the address of an anonymous client. Each has its own limit. */
  readonly client: string
  readonly patienceMs: number
  readonly onLeave: (listener: () => void) => void
}

export interface WaitingWrites {
  wait(waiter: Waiter): Promise<WaitOutcome>
  releaseAll(): void
  /** Refuses all waiting writes, and every later write at once. */
  stop(): void
  readonly count: number
  /** Writes that waited too long or found no place. */
  readonly refused: number
}

// A waiting write holds its connection and up to 64 KiB of its body.
const MAX_WAITING = 500
// More than twelve pushes of docker, which sends five layers at once.
const MAX_PER_CLIENT = 64

export function createWaitingWrites(timetable: Pick<Timetable, 'after'>): WaitingWrites {
  const finishers = new Set<(outcome: WaitOutcome) => void>()
  const counts = new Map<string, number>()
  let refused = 0
  let isStopped = false

  function wait({ client, patienceMs, onLeave }: Waiter): Promise<WaitOutcome> {
    if (isStopped) return Promise.resolve('stopping')
    const count = counts.get(client) ?? 0
    if (finishers.size >= MAX_WAITING || count >= MAX_PER_CLIENT) {
      refused += 1
      return Promise.resolve('too-many')
    }
    counts.set(client, count + 1)
    return new Promise((resolve) => {
      const cancelTimer = timetable.after(patienceMs, () => {
        finish('too-long')
      })
      finishers.add(finish)
      onLeave(() => {
        finish('left')
      })

      function finish(outcome: WaitOutcome): void {
        if (!finishers.delete(finish)) return
        cancelTimer()
        leave(client)
        if (outcome === 'too-long') refused += 1
        resolve(outcome)
      }
    })
  }

  function leave(client: string): void {
    const left = (counts.get(client) ?? 1) - 1
    if (left > 0) counts.set(client, left)
    else counts.delete(client)
  }

  function finishAll(outcome: WaitOutcome): void {
    for (const finish of [...finishers]) finish(outcome)
  }

  return {
    wait,
    releaseAll: () => {
      finishAll('go-on')
    },
    stop: () => {
      isStopped = true
      finishAll('stopping')
    },
    get count() {
      return finishers.size
    },
    get refused() {
      return refused
    },
  }
}
