import { setTimeout as pause } from 'node:timers/promises'

export interface Deadline {
  readonly deadlineMs: number
  /** What is waited for, for the message when it does not come. */
  readonly what: string
}

/** Resolves to the milliseconds it took until `condition` held. Rejects when it does not before the deadline. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { deadlineMs, what }: Deadline,
): Promise<number> {
  const start = performance.now()
  for (;;) {
    if (await condition()) return performance.now() - start
    if (performance.now() - start > deadlineMs) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await pause(5)
  }
}
