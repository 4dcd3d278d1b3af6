// Keeps the last pushes and pulls, with the bytes of their blobs.
// A push ends with its manifest, so its blobs come before. A pull begins with its manifest, so its blobs come after.

import type { Operation, OperationOutcome } from '../event-metrics.ts'
import type { FinishedOperation } from '../status-snapshot.ts'
import { createRecentMap } from '../../collections/recent-map.ts'
import { createRing } from './ring.ts'
import { shortText, shortTextOrNone } from './short-text.ts'

const MAX_OPERATIONS = 200

// The limit for pushes that wait for their manifest, and for pulls that may still fetch blobs.
const MAX_UNFINISHED = 1_000

export interface FinishedPart {
  readonly operation: Operation
  readonly user: string | undefined
  readonly address: string
  readonly repository: string
  readonly bytes: number
  /** In milliseconds of a monotonic clock. */
  readonly startedAt: number
  readonly endedAt: number
}

export interface FinishedManifest extends FinishedPart {
  readonly outcome: OperationOutcome
  readonly reference: string
  readonly client: string | undefined
}

export interface Operations {
  blobFinished(blob: FinishedPart): void
  manifestFinished(manifest: FinishedManifest): void
  newestFirst(): readonly FinishedOperation[]
}

interface Sum {
  bytes: number
  startedAt: number
  endedAt: number
}

interface Entry extends Omit<FinishedOperation, 'bytes' | 'seconds'> {
  readonly sum: Sum
}

export function createOperations(): Operations {
  const entries = createRing<Entry>(MAX_OPERATIONS)
  const unfinished = {
    push: createRecentMap<Sum>(MAX_UNFINISHED),
    pull: createRecentMap<Sum>(MAX_UNFINISHED),
  } as const

  return {
    blobFinished: (blob) => {
      const sums = unfinished[blob.operation]
      const sum = sums.peek(keyOf(blob))
      if (sum !== undefined) {
        sum.bytes += blob.bytes
        sum.endedAt = blob.endedAt
      } else if (blob.operation === 'push') {
        sums.set(keyOf(blob), sumOf(blob))
      }
    },
    manifestFinished: (manifest) => {
      const sum = sumOf(manifest)
      if (manifest.operation === 'push') addBlobs(sum, manifest)
      else if (manifest.outcome === 'ok') unfinished.pull.set(keyOf(manifest), sum)
      entries.add(entryOf(manifest, sum))
    },
    newestFirst: () =>
      entries.newestFirst().map(({ sum, ...entry }) => ({
        ...entry,
        bytes: sum.bytes,
        seconds: (sum.endedAt - sum.startedAt) / 1000,
      })),
  }

  function addBlobs(sum: Sum, manifest: FinishedManifest): void {
    const blobs = unfinished.push.get(keyOf(manifest))
    if (blobs === undefined) return
    sum.bytes += blobs.bytes
    sum.startedAt = blobs.startedAt
    unfinished.push.delete(keyOf(manifest))
  }
}

function sumOf({ bytes, startedAt, endedAt }: FinishedPart): Sum {
  return { bytes, startedAt, endedAt }
}

function entryOf(manifest: FinishedManifest, sum: Sum): Entry {
  const { operation, outcome, user, address, repository, reference, client } = manifest
  const names = {
    user: shortTextOrNone(user),
    address,
    repository: shortText(repository),
    reference: shortText(reference),
    client: shortTextOrNone(client),
  }
  return { at: new Date().toISOString(), operation, outcome, names, sum }
}

// No name contains a NUL, because the users file and the registry refuse it.
function keyOf({ user = '', address, repository }: FinishedPart): string {
  return [shortText(user), address, shortText(repository)].join('\0')
}
