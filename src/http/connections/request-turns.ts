// Handles pipelined requests one after the other and limits how many wait.
//
// Node emits every request that it has parsed at once. A client that sends thousands and reads nothing would open
// thousands of upstream connections, and requests behind a refused one would still be served.

import type { RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { refusal } from '../refusals.ts'
import { connectionOf, type Turns } from './connection.ts'
import { discard, endWith } from './unparsable-requests.ts'

// Registry clients do not pipeline.
const MAX_WAITING = 16

// Requests that Node has read together with the first one over the limit: ordinary heads of one TLS record. Node keeps
// 1.4 KB for each until the connection ends, so a connection that sends more is cut without an answer.
const MAX_IGNORED = 128

const TOO_MANY = refusal(
  'tooMany',
  `too many pipelined requests: at most ${MAX_WAITING} may wait for an answer`,
  {
    'Retry-After': '1',
  },
)

/**
 * Calls `listener` for a request once the request before it on the connection has been answered. A request over the
 * limit is refused in its turn, and the connection ends with that refusal.
 */
export function oneAtATime(listener: RequestListener): RequestListener {
  return function takeTurn(incoming, outgoing) {
    const { socket } = incoming
    const { turns } = connectionOf(socket)
    const begin = (): void => {
      turns.current = outgoing
      listener(incoming, outgoing)
    }
    if (turns.ignored !== undefined) ignore(turns, socket)
    else if (turns.current === undefined) begin()
    else if (turns.waiting.length >= MAX_WAITING) refuseInTurn(turns, socket)
    else turns.waiting.push(begin)
  }
}

/** Begins the next request once an answer has closed. */
export function nextTurn(turns: Turns, answered: ServerResponse): void {
  if (turns.current !== answered) return
  const next = turns.waiting.shift()
  if (next === undefined) turns.current = undefined
  // An answer that closes the connection is the last one, even if more requests have arrived.
  else if (answered.shouldKeepAlive && answered.req.socket.writable) next()
}

function refuseInTurn(turns: Turns, socket: Socket): void {
  turns.ignored = 0
  // Otherwise Node would parse and keep more requests while the answers before this one are sent.
  discard(socket)
  turns.waiting.push(() => {
    endWith(TOO_MANY, socket)
  })
}

function ignore(turns: Turns, socket: Socket): void {
  turns.ignored = (turns.ignored ?? 0) + 1
  if (turns.ignored > MAX_IGNORED) socket.destroy()
}
