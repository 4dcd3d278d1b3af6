// Stops the sidecar: drains, then closes each part in order.

import type { DrainGate } from '../http/pipeline/drain-gate.ts'
import type { Listener } from '../http/connections/listener.ts'

interface Closable {
  close(): Promise<void> | void
}

/** The parts that are open. A start that failed has only some of them. */
export interface OpenParts {
  readonly listener?: Closable | undefined
  readonly admin?: Closable | undefined
  readonly attempts?: Closable | undefined
  readonly pool?: Closable | undefined
  readonly audit?: Closable | undefined
  readonly accessLog?: Closable | undefined
  readonly upstream?: Closable | undefined
  readonly limits?: { readonly audit: Closable } | undefined
  readonly clientCa?: Closable | undefined
  readonly users?: Closable | undefined
  readonly certificate?: Closable | undefined
}

export interface RunningParts extends OpenParts {
  readonly gate: Pick<DrainGate, 'beginDrain' | 'drained'>
  readonly listener: Pick<Listener, 'stopAccepting' | 'close'>
}

/** Resolves to whether all requests in flight finished before the deadline. */
export async function shutDown(parts: RunningParts, deadlineMs: number): Promise<boolean> {
  // 1. /readyz answers 503, so that load balancers stop sending before connections are refused.
  parts.gate.beginDrain()
  // 2. New connections are refused.
  parts.listener.stopAccepting()
  // 3. Requests in flight finish, or the deadline passes.
  const isDrained = await withDeadline(parts.gate.drained(), deadlineMs)
  // 4. Each part closes; the listener cuts the connections that are left.
  await closeParts(parts)
  return isDrained
}

/** The order in which parts close: each one before the parts that it uses. */
async function closeParts(parts: OpenParts): Promise<void> {
  const closingOrder: readonly (Closable | undefined)[] = [
    /*  1 */ parts.listener,
    /*  2 */ parts.admin,
    /*  3 */ parts.attempts,
    /*  4 */ parts.pool,
    /*  5 */ parts.audit,
    /*  6 */ parts.accessLog,
    /*  7 */ parts.upstream,
    /*  8 */ parts.limits?.audit,
    /*  9 */ parts.clientCa,
    /* 10 */ parts.users,
    /* 11 */ parts.certificate,
  ]
  for (const part of closingOrder) await part?.close()
}

/** Waits for the next step of the start. If that step fails, closes the parts that are open and rejects. */
export async function closeOnFailure<T>(next: Promise<T>, open: OpenParts): Promise<T> {
  try {
    return await next
  } catch (error) {
    await closeParts(open)
    throw error
  }
}

async function withDeadline(done: Promise<void>, deadlineMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, false)
  })
  const isDone = await Promise.race([done.then(() => true), late])
  clearTimeout(timer)
  return isDone
}
