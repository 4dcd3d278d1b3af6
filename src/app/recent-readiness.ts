// Gives the readiness without a long wait for the registry.

import { setTimeout as pause } from 'node:timers/promises'
import { shareInFlight } from '../async/in-flight.ts'
import type { Readiness } from '../http/admin/admin-listener.ts'

// The sidecar notices a hanging registry after 2 s. The live status must show transfers earlier.
const PATIENCE_MS = 500
const MAX_AGE_MS = 5_000

export function createRecentReadiness(
  look: () => Promise<Readiness>,
  clock: () => number,
): () => Promise<Readiness> {
  const share = shareInFlight<Readiness>()
  let last: { readonly readiness: Readiness; readonly at: number } | undefined

  async function lookAndKeep(): Promise<Readiness> {
    const readiness = await look()
    last = { readiness, at: clock() }
    return readiness
  }

  return async () => {
    const next = share(lookAndKeep)
    if (last === undefined || clock() - last.at > MAX_AGE_MS) return next
    return Promise.race([next, pause(PATIENCE_MS, last.readiness, { ref: false })])
  }
}
