// Closes a listening socket without losing connections that clients consider open.

import type { Server } from 'node:net'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import tls from 'node:tls'
import type { Connection } from './connection.ts'

// The kernel resets connections that wait in the queue of a closed socket. Node accepts one in each turn of its event
// loop, and more arrive between two turns. So several turns without a connection must pass.
const QUIET_TURNS = 5
// Threat: a flood of connections must not delay a stop.
const MAX_EMPTYING_MS = 1_000

export async function stopAccepting(server: Server): Promise<void> {
  let accepted = 0
  server.on('connection', () => {
    accepted += 1
  })
  const end = performance.now() + MAX_EMPTYING_MS
  for (let quiet = 0; quiet < QUIET_TURNS && performance.now() < end;) {
    const before = accepted
    await nextTurn()
    quiet = accepted === before ? quiet + 1 : 0
  }
  // Node's own close() also ends connections whose answer is not sent yet, so a slow client would lose bytes.
  tls.Server.prototype.close.call(server)
}

// A handshake takes three round trips, two seconds over a satellite link. We count looks, because time also passes
// while the process is suspended.
const LOOK_EVERY_MS = 50
const MAX_LOOKS = 60

/** Resolves when each connection has had a request and no request waits for its answer, or after 3 s. */
export async function firstRequestsAnswered(open: Iterable<Connection>): Promise<void> {
  for (let looks = 0; looks < MAX_LOOKS && [...open].some(isPending); looks += 1)
    await pause(LOOK_EVERY_MS, undefined, { ref: false })
}

function isPending({ requests, answers }: Connection): boolean {
  return requests === 0 || answers.size > 0
}
