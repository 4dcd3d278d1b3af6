// Stops the sidecar: drains, then closes each part in order.

import { errorMessage } from '../errors/errors.ts'
import type { DrainGate } from '../http/pipeline/drain-gate.ts'
import type { LiveStatus } from '../http/status/live-status.ts'
import type { Listener } from '../http/connections/listener.ts'

interface Closable {
  close(): Promise<void> | void
}

export interface OpenParts {
  readonly status?: Closable | undefined
  readonly listener?: Closable | undefined
  readonly admin?: Closable | undefined
  readonly attempts?: Closable | undefined
  readonly pool?: Closable | undefined
  readonly lastUsed?: Closable | undefined
  readonly audit?: Closable | undefined
  readonly accessLog?: Closable | undefined
  readonly upstream?: Closable | undefined
  readonly limits?: { readonly audit: Closable } | undefined
  readonly clientCa?: Closable | undefined
  readonly rules?: Closable | undefined
  readonly users?: Closable | undefined
  readonly certificate?: Closable | undefined
  readonly auditStream?: Closable | undefined
}

export interface RunningParts extends OpenParts {
  readonly gate: Pick<DrainGate, 'beginDrain' | 'drained'>
  readonly listener: Pick<Listener, 'stopAccepting' | 'close'>
  readonly liveStatus?: Pick<LiveStatus, 'close'>
}

/** Resolves to true if all requests in flight finished before the deadline. */
export async function shutDown(parts: RunningParts, deadlineMs: number): Promise<boolean> {
  // /readyz answers 503 first, so that load balancers stop sending before connections are refused.
  parts.gate.beginDrain()
  // Viewers of the live status would stay for the whole drain.
  parts.liveStatus?.close()
  parts.listener.stopAccepting()
  const isDrained = await withDeadline(parts.gate.drained(), deadlineMs)
  await closeParts(parts)
  return isDrained
}

/** Rejects after all parts are closed, if one of them failed. */
async function closeParts(parts: OpenParts): Promise<void> {
  const closingOrder: readonly (Closable | undefined)[] = [
    parts.status,
    parts.listener,
    parts.admin,
    parts.attempts,
    parts.pool,
    parts.lastUsed,
    parts.audit,
    parts.accessLog,
    parts.upstream,
    parts.limits?.audit,
    parts.clientCa,
    parts.rules,
    parts.users,
    parts.certificate,
    // The other parts may still write to it.
    parts.auditStream,
  ]
  const failures: unknown[] = []
  for (const part of closingOrder) {
    try {
      await part?.close()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 1) throw new AggregateError(failures, failures.map(errorMessage).join('; '))
  if (failures.length === 1) throw failures[0]
}

export async function closeOnFailure<T>(next: Promise<T>, open: OpenParts): Promise<T> {
  try {
    return await next
  } catch (error) {
    // The operator must see why the start failed, so an error of a close is ignored.
    await closeParts(open).catch(() => undefined)
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
