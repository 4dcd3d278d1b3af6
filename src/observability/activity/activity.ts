// Records requests, pushes, pulls, refusals and changes for the live status.

import type { OperationOutcome } from '../event-metrics.ts'
import type { LogListener } from '../watched-log.ts'
import type { FinishedOperation, Refusal, StatusChange } from '../status-snapshot.ts'
import { changeOf, refusalOf } from './logged-events.ts'
import type { Totals } from './minute-series.ts'
import { createOperations, type FinishedManifest, type FinishedPart } from './operations.ts'
import { createRefusals } from './refusal-list.ts'
import { createRing } from './ring.ts'

const MAX_CHANGES = 200

export interface FinishedTraffic {
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly isFailed: boolean
}

export interface Activity {
  requestFinished(traffic: FinishedTraffic): void
  blobFinished(blob: FinishedPart): void
  manifestFinished(manifest: FinishedManifest): void
  refused(refusal: Omit<Refusal, 'at'>): void
  readonly logged: LogListener
  /** Counts finished requests. */
  readonly totals: Totals
  readonly operations: readonly FinishedOperation[]
  readonly refusals: readonly Refusal[]
  readonly changes: readonly StatusChange[]
}

export function createActivity(): Activity {
  const operations = createOperations()
  const refusals = createRefusals()
  const changes = createRing<StatusChange>(MAX_CHANGES)
  const totals = { receivedBytes: 0, sentBytes: 0, requests: 0, failedRequests: 0, pushes: 0, pulls: 0 }

  return {
    requestFinished: ({ receivedBytes, sentBytes, isFailed }) => {
      totals.receivedBytes += receivedBytes
      totals.sentBytes += sentBytes
      totals.requests += 1
      if (isFailed) totals.failedRequests += 1
    },
    blobFinished: (blob) => {
      operations.blobFinished(blob)
    },
    manifestFinished: (manifest) => {
      if (manifest.outcome === NO_LOGIN_YET) return
      operations.manifestFinished(manifest)
      if (manifest.outcome !== 'ok') return
      if (manifest.operation === 'push') totals.pushes += 1
      else totals.pulls += 1
    },
    refused: (refusal) => {
      refusals.add(refusal)
    },
    logged: (fields, sentence) => {
      const refusal = refusalOf(fields, sentence)
      if (refusal !== undefined) refusals.add(refusal)
      const change = changeOf(fields)
      if (change !== undefined) changes.add(change)
    },
    get totals() {
      return { ...totals }
    },
    get operations() {
      return operations.newestFirst()
    },
    get refusals() {
      return refusals.newestFirst()
    },
    get changes() {
      return changes.newestFirst()
    },
  }
}

// Not recorded, because many clients send their first request without a login to get the challenge.
const NO_LOGIN_YET: OperationOutcome = 'unauthenticated'
