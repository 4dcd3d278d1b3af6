// Tracks admitted requests, and limits them per user or anonymous source.
// Threat: one login takes every connection to the registry, even from many clients that share its password.

import type { IncomingMessage } from 'node:http'
import { hasBody } from '../../upstream/drain-request-body.ts'
import type { ConnectionTable } from '../connections/connection-table.ts'
import { unchargedBytes, type Answer, type Connection } from '../connections/connection.ts'
import type { LimitAudit } from '../limit-audit.ts'
import { refusal } from '../refusals.ts'
import { usernameOf, type Transfer, type TransferKind } from '../request-facts.ts'
import { refuse, type Env, type Step } from './step.ts'
import { ANSWERED } from '../answers.ts'

export interface Transfers {
  /** Comes after authentication. */
  readonly step: Step
  readonly open: ReadonlySet<Transfer>
  readonly begun: number
  end(answer: Answer): void
}

export interface TransfersOptions {
  /** `Infinity` for no limit. */
  readonly maxPerUser: number
  readonly audit: LimitAudit
  /** Protects the connections of transfers from being closed for a new connection. */
  readonly connections: Pick<ConnectionTable<Connection>, 'begin' | 'end'>
}

const RETRY_SOON = { 'Retry-After': '5' }
const TOO_MANY = refusal('unavailable', 'too many transfers of this user at once; try again', RETRY_SOON)
const TOO_MANY_ANONYMOUS = refusal(
  'unavailable',
  'too many transfers without a login from this address at once; try again, or log in',
  RETRY_SOON,
)

export function createTransfers({ maxPerUser, audit, connections }: TransfersOptions): Transfers {
  const open = new Set<Transfer>()
  // Per kind, so that a user whose pulls are slow can still log in and fetch manifests.
  const counts = new Map<string, number>()
  let begun = 0

  const step: Step = async function admitTransfer(c, next) {
    const { incoming, outgoing } = c.env
    // The client left during its password check, so no 'close' event would end the transfer.
    if (outgoing.destroyed || outgoing.closed) return ANSWERED
    const { answer } = c.var
    const transfer = transferOf(incoming, c.var)
    const key = keyOf(transfer)
    const count = counts.get(key) ?? 0
    if (count >= maxPerUser) {
      const { user, source } = transfer
      audit.reached('transfers-per-user', user ?? source)
      return user === undefined
        ? refuse(c, TOO_MANY_ANONYMOUS, 'too many anonymous transfers of this source')
        : refuse(c, TOO_MANY, 'too many transfers of this user')
    }
    counts.set(key, count + 1)
    open.add(transfer)
    begun += 1
    answer.transfer = transfer
    connections.begin(answer.connection)
    await next()
    return undefined
  }

  function end({ transfer, connection }: Answer): void {
    if (transfer === undefined) return
    open.delete(transfer)
    const key = keyOf(transfer)
    const count = counts.get(key) ?? 0
    if (count <= 1) counts.delete(key)
    else counts.set(key, count - 1)
    connections.end(connection)
  }

  return {
    step,
    open,
    get begun() {
      return begun
    },
    end,
  }
}

function transferOf(incoming: IncomingMessage, { facts, answer }: Env['Variables']): Transfer {
  return {
    id: facts.id,
    user: usernameOf(facts),
    source: facts.source,
    kind: kindOf(incoming),
    since: performance.now(),
    incoming,
    facts,
    moved: () => unchargedBytes(answer.connection),
  }
}

// No user shares the count of a source, even if the name of the user is the address.
function keyOf({ kind, user, source }: Transfer): string {
  return user === undefined ? `${kind} from ${source}` : `${kind} of ${user}`
}

// The end of an upload is no blob transfer, because a refusal would lose bytes that the registry has already.
function kindOf(incoming: IncomingMessage): TransferKind {
  const isBlob = incoming.url?.includes('/blobs/') === true
  return isBlob && (incoming.method === 'GET' || hasBody(incoming)) ? 'blob' : 'other'
}
