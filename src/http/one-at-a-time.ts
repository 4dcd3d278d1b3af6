// Requests that a client pipelines are worked on one after the other.
//
// Node hands out every request it has parsed at once. A client that sends thousands and reads nothing would open
// thousands of upstream connections, and what follows a refused request on its connection would still be served.

import type { RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

// No registry client pipelines at all.
const MAX_WAITING = 16

const TURN = Symbol('turn')

interface Turn {
  readonly last: ServerResponse
  readonly waiting: number
}

type TurnSocket = Socket & { [TURN]?: Turn }

/** Calls `listener` for the next request of a connection once the one before it has been answered. */
export function oneAtATime(listener: RequestListener): RequestListener {
  return function takeTurn(incoming, outgoing) {
    const socket: TurnSocket = incoming.socket
    const before = socket[TURN]
    if (before === undefined || before.last.closed) {
      socket[TURN] = { last: outgoing, waiting: 0 }
      listener(incoming, outgoing)
      return
    }
    if (before.waiting >= MAX_WAITING) {
      socket.destroy()
      return
    }
    socket[TURN] = { last: outgoing, waiting: before.waiting + 1 }
    before.last.once('close', () => {
      // An answer that closes the connection is the last one, whatever else was sent after it.
      if (before.last.shouldKeepAlive && socket.writable) listener(incoming, outgoing)
    })
  }
}
