// How much one user may have under way at once, so that no one login, however many hold its password, takes every
// connection to the registry.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { hasBody } from '../../upstream/drain-request-body.ts'
import type { LimitAudit } from '../limit-audit.ts'
import { refuse, type Step } from './step.ts'
import { refusal } from '../refusals.ts'

export interface TransferLimits {
  /** Passes on what is within the limit. Stands behind authentication: who has no login counts for nobody. */
  readonly step: Step
  /** Requests with the registry now. */
  readonly inFlight: number
}

export interface TransferLimitsOptions {
  /** `Infinity` for no limit. */
  readonly maxPerUser: number
  readonly audit: LimitAudit
  /** Told when a request begins on a connection; the function it returns, when that is over. */
  readonly use: (socket: Socket) => () => void
}

// Retried by dockerd, containerd and buildkit; skopeo and podman tell the sentence to their user.
const TOO_MANY = refusal('unavailable', 'too many transfers of this user at once; try again', {
  'Retry-After': '5',
})

/**
 * What carries a blob counts apart from everything else, each up to the limit: somebody whose pulls all crawl can still
 * log in, and ask for manifests. Whatever a request is, it counts somewhere.
 */
type Kind = 'blob' | 'other'

export function createTransferLimits({ maxPerUser, audit, use }: TransferLimitsOptions): TransferLimits {
  const counts = new Map<string, number>()
  let inFlight = 0

  const step: Step = async function limitTransfers(c, next) {
    const { incoming, outgoing } = c.env
    // The client left while its password was checked, and its 'close' with it: what is counted now would never be
    // given back.
    if (outgoing.destroyed || outgoing.closed) return RESPONSE_ALREADY_SENT
    const { username = '' } = c.var.facts
    const key = `${kindOf(incoming)} ${username}`
    const count = counts.get(key) ?? 0
    if (count >= maxPerUser) {
      audit.reached('transfers-per-user', username)
      return refuse(c, TOO_MANY, 'too many transfers of this user')
    }
    counts.set(key, count + 1)
    inFlight += 1
    const unuse = use(incoming.socket)
    outgoing.once('close', () => {
      leave(key)
      unuse()
    })
    await next()
    return undefined
  }

  function leave(key: string): void {
    inFlight -= 1
    const count = counts.get(key) ?? 0
    // Deleted, so that memory does not grow with every user there ever was.
    if (count <= 1) counts.delete(key)
    else counts.set(key, count - 1)
  }

  return {
    step,
    get inFlight() {
      return inFlight
    },
  }
}

// Ending an upload is no transfer: its bytes are there already, and refusing it would lose them.
function kindOf(incoming: IncomingMessage): Kind {
  const isBlob = incoming.url?.includes('/blobs/') === true
  return isBlob && (incoming.method === 'GET' || hasBody(incoming)) ? 'blob' : 'other'
}
