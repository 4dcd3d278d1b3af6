// Stops the sidecar: drains, then closes each part in order.

import { setTimeout as pause } from 'node:timers/promises'
import { errorMessage } from '../errors/errors.ts'
import type { WriteFreeze } from '../freeze/write-freeze.ts'
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
  readonly writeFreeze?: Closable | undefined
  readonly users?: Closable | undefined
  readonly certificate?: Closable | undefined
  readonly auditStream?: Closable | undefined
}

export interface RunningParts extends OpenParts {
  readonly gate: Pick<DrainGate, 'begin' | 'drained'>
  readonly writeFreeze: Pick<WriteFreeze, 'stop' | 'close'>
  readonly listener: Pick<Listener, 'announceEnd' | 'stopAccepting' | 'firstRequestsAnswered' | 'close'>
  readonly liveStatus?: Pick<LiveStatus, 'close'>
}

export interface DrainTimes {
  readonly delayMs: number
  /** Counts from the end of the delay. */
  readonly timeoutMs: number
}

/** Resolves to true if all requests in flight finished before the timeout. docs/operations.md lists the steps. */
export async function shutDown(parts: RunningParts, times: DrainTimes): Promise<boolean> {
  const isDrained = times.delayMs > 0 ? await leave(parts, times) : await stop(parts, times)
  await closeParts(parts)
  return isDrained
}

/** Refuses only writes that wait for a thaw. Even the connections accepted last get an answer. */
async function leave(
  { gate, listener, writeFreeze, liveStatus }: RunningParts,
  { delayMs, timeoutMs }: DrainTimes,
): Promise<boolean> {
  // /readyz answers 503 first, so that load balancers choose another sidecar during the delay.
  gate.begin('leaving')
  liveStatus?.close()
  listener.announceEnd()
  await pause(delayMs)
  await listener.stopAccepting()
  writeFreeze.stop()
  await listener.firstRequestsAnswered()
  return withDeadline(gate.drained(), timeoutMs)
}

async function stop(
  { gate, listener, writeFreeze, liveStatus }: RunningParts,
  { timeoutMs }: DrainTimes,
): Promise<boolean> {
  // /readyz answers 503 first, so that load balancers stop sending before connections are refused.
  gate.begin('stopping')
  // Otherwise viewers of the live status would stay connected for the whole drain.
  liveStatus?.close()
  // Called before the next wait, because a transfer that ends during the wait counts too.
  const drained = gate.drained()
  writeFreeze.stop()
  await listener.stopAccepting()
  return withDeadline(drained, timeoutMs)
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
    parts.writeFreeze,
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
