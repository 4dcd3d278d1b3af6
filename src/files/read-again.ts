// Reads files until they match, at most a few times.

import { setTimeout as pause } from 'node:timers/promises'

export interface ReadAgainOptions<T> {
  readonly isWhole: (value: T) => boolean
  readonly looks: number
  readonly pauseMs: number
}

export async function readUntilWhole<T>(
  read: () => Promise<T>,
  { isWhole, looks, pauseMs }: ReadAgainOptions<T>,
): Promise<T> {
  for (let look = 1; ; look++) {
    const value = await read()
    if (look >= looks || isWhole(value)) return value
    await pause(pauseMs)
  }
}
