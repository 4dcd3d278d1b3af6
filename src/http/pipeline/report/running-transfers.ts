// Describes the blobs that are being pushed and pulled.

import { createRateMeter, type RateMeter } from '../../../observability/activity/rate-meter.ts'
import { shortText } from '../../../observability/activity/short-text.ts'
import type { RunningTransfer } from '../../../observability/status-snapshot.ts'
import type { Bytes, Transfer } from '../../request-facts.ts'
import { placeOf } from './place.ts'

export interface RunningTransfers {
  /** Returns the oldest blob transfers. */
  list(): readonly RunningTransfer[]
  /** Returns the bytes of all open transfers, not only of blobs. */
  moved(): Bytes
  readonly blobs: number
}

const MAX_LISTED = 100

export function createRunningTransfers(open: ReadonlySet<Transfer>, clock: () => number): RunningTransfers {
  // Meters are created on demand, so nothing is measured without viewers.
  const meters = new WeakMap<Transfer, RateMeter>()

  function describe(transfer: Transfer, now: number): RunningTransfer {
    const { id, user, since, incoming, facts } = transfer
    const { method = '', url = '', headers } = incoming
    const isPull = method === 'GET'
    const { received, sent } = transfer.moved()
    const length = isPull ? facts.answerLength : lengthOf(headers['content-length'])
    // `moved` includes the head, so it may exceed the length.
    const bytes = Math.min(isPull ? sent : received, length ?? Infinity)
    const meter = meters.get(transfer) ?? createRateMeter(since)
    meters.set(transfer, meter)
    const { repository } = placeOf(method, url)
    return {
      id,
      operation: isPull ? 'pull' : 'push',
      bytes,
      length,
      bytesPerSecond: meter.read(bytes, now),
      seconds: (now - since) / 1000,
      names: { user: user === undefined ? undefined : shortText(user), address: facts.address, repository },
    }
  }

  return {
    list: () => {
      const now = clock()
      const oldest: RunningTransfer[] = []
      for (const transfer of open) {
        if (oldest.length === MAX_LISTED) break
        if (transfer.kind === 'blob') oldest.push(describe(transfer, now))
      }
      return oldest
    },
    moved: () => {
      let [received, sent] = [0, 0]
      for (const { moved } of open) {
        const bytes = moved()
        received += bytes.received
        sent += bytes.sent
      }
      return { received, sent }
    },
    get blobs() {
      let count = 0
      for (const { kind } of open) if (kind === 'blob') count += 1
      return count
    },
  }
}

function lengthOf(header: string | undefined): number | undefined {
  return header === undefined ? undefined : Number(header)
}
