// Handles pipelined requests one after the other and limits how many wait.
//
// Node hands out every request it has parsed at once. A client that sends thousands and reads nothing would open
// thousands of upstream connections, and what follows a refused request on its connection would still be served.

import type { RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { refusal } from '../refusals.ts'
import { discard, endWith } from './unparsable-requests.ts'

// No registry client pipelines at all.
const MAX_WAITING = 16

// Requests that Node has read together with the first one over the limit: ordinary heads of one TLS record. Node keeps
// 1.4 KB for each until the connection ends, so a connection that brings more is cut without an answer.
const MAX_IGNORED = 128

const TOO_MANY = refusal(
  'tooMany',
  `too many pipelined requests: at most ${MAX_WAITING} may wait for an answer`,
  {
    'Retry-After': '1',
  },
)

const LINE = Symbol('line')

/** The requests of one connection. */
interface Line {
  /** The answer behind which the next request waits. */
  last: ServerResponse
  waiting: number
  /** Undefined until a request is over the limit; from then on none is handled. */
  ignored: number | undefined
}

type LineSocket = Socket & { [LINE]?: Line }

/**
 * Calls `listener` for the next request of a connection once the one before it has been answered. A request over the
 * limit is refused in its turn, and the connection ends with that.
 */
export function oneAtATime(listener: RequestListener): RequestListener {
  return function takeTurn(incoming, outgoing) {
    const socket: LineSocket = incoming.socket
    const line = socket[LINE]
    if (line === undefined || (line.last.closed && line.ignored === undefined)) {
      socket[LINE] = { last: outgoing, waiting: 0, ignored: undefined }
      listener(incoming, outgoing)
      return
    }
    if (line.ignored !== undefined) ignore(line, socket)
    else if (line.waiting >= MAX_WAITING) refuseInTurn(line, socket)
    else {
      const { last } = line
      line.last = outgoing
      line.waiting += 1
      whenAnswered(last, socket, () => {
        line.waiting -= 1
        listener(incoming, outgoing)
      })
    }
  }
}

// An answer that closes the connection is the last one, whatever else was sent after it.
function whenAnswered(last: ServerResponse, socket: Socket, next: () => void): void {
  last.once('close', () => {
    if (last.shouldKeepAlive && socket.writable) next()
  })
}

function refuseInTurn(line: Line, socket: Socket): void {
  line.ignored = 0
  // Node would go on parsing, and keep each request, for as long as the answers before this one take.
  discard(socket)
  whenAnswered(line.last, socket, () => {
    endWith(TOO_MANY, socket)
  })
}

function ignore(line: Line, socket: Socket): void {
  line.ignored = (line.ignored ?? 0) + 1
  if (line.ignored > MAX_IGNORED) socket.destroy()
}
