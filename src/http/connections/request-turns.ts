// Handles pipelined requests one after the other and limits how many wait.
// Threat: a client sends thousands of pipelined requests, and each opens an upstream connection.

import type { RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { refusal } from '../refusals.ts'
import { connectionOf, type Turns } from './connection.ts'
import { discard, endWith } from './unparsable-requests.ts'

// Registry clients do not pipeline.
const MAX_WAITING = 16

// Node still delivers the requests of the TLS record that it is reading: at most about this many. Each takes 1.4 KB.
const MAX_IGNORED = 128

const TOO_MANY = refusal(
  'tooMany',
  `too many pipelined requests: at most ${MAX_WAITING} may wait for an answer`,
  {
    'Retry-After': '1',
  },
)

/** A request over the limit is refused in its turn, and the connection ends with that refusal. */
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

export function nextTurn(turns: Turns, answered: ServerResponse): void {
  if (turns.current !== answered) return
  const next = turns.waiting.shift()
  if (next === undefined) turns.current = undefined
  // An answer that closes the connection is the last one, even if more requests have arrived.
  else if (answered.shouldKeepAlive && answered.req.socket.writable) next()
}

function refuseInTurn(turns: Turns, socket: Socket): void {
  turns.ignored = 0
  // Otherwise Node would parse and keep more requests while earlier answers are sent.
  discard(socket)
  turns.waiting.push(() => {
    endWith(TOO_MANY, socket)
  })
}

function ignore(turns: Turns, socket: Socket): void {
  turns.ignored = (turns.ignored ?? 0) + 1
  if (turns.ignored > MAX_IGNORED) socket.destroy()
}
