// Under which authorities for client certificates a connection made its handshake, and what becomes of it when they
// change.
//
// OpenSSL judges a client's certificate once, in the handshake, and connections live long. When an authority is taken
// out, whoever got in by it must be out as well; what is being transferred at that moment may finish.

import type { RequestListener, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { OnTcp } from './connection.ts'

/** From one change of the authorities to the next. */
interface Era {
  isOver: boolean
}

const ERA = Symbol('era')
const BEGUN_AT = Symbol('begun at')
const IN_FLIGHT = Symbol('in flight')

// The answers are kept with their socket: one that waits behind another never closes when the connection does.
type EraSocket = Socket & {
  [ERA]?: Era | undefined
  [BEGUN_AT]?: number
  [IN_FLIGHT]?: Set<ServerResponse>
}

// Authorities end, and so do those between them and the client, of which Node tells us nothing. A connection that
// nobody ever closes must not outlast them by much.
const LONGEST_TRUST_MS = 3_600_000

export interface Handshakes {
  /** Lets `handler` do its work, and notices when a connection has nothing more to do. */
  watch(handler: RequestListener): RequestListener
  /**
   * The authorities have changed: ends idle connections at once, others when what they are doing is done. The caller has
   * given the server the new ones before.
   */
  beginAnew(): void
}

/** To be called before the server listens. */
export function trackHandshakes(server: Server): Handshakes {
  const open = new Set<EraSocket>()
  let era: Era = { isOver: false }

  // When the connection comes, not when its handshake is done: that goes by the authorities of this moment.
  server.on('connection', (connection: EraSocket) => {
    connection[ERA] = era
  })
  server.on('secureConnection', (socket: OnTcp<EraSocket> & EraSocket) => {
    // Without the connection below, the socket counts as one of an earlier era.
    socket[ERA] = socket._parent?.[ERA]
    socket[BEGUN_AT] = performance.now()
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })

  return {
    watch: (handler) => (incoming, outgoing) => {
      const socket: EraSocket = incoming.socket
      const inFlight = socket[IN_FLIGHT] ?? new Set()
      socket[IN_FLIGHT] = inFlight
      inFlight.add(outgoing)
      outgoing.once('close', () => {
        inFlight.delete(outgoing)
        endIfIdle(socket)
      })
      handler(incoming, outgoing)
    },
    beginAnew: () => {
      era.isOver = true
      era = { isOver: false }
      for (const socket of open) {
        // Said with the answer: were the connection to end without a word, a push would lose its next request on it.
        for (const outgoing of socket[IN_FLIGHT] ?? []) {
          if (!outgoing.headersSent) outgoing.shouldKeepAlive = false
        }
        endIfIdle(socket)
      }
    },
  }
}

/** Whether the authorities have changed since the handshake, so that what it found counts no more. */
export function isOutdated(socket: Socket): boolean {
  const { [ERA]: era }: EraSocket = socket
  return era?.isOver !== false
}

/** Whether the handshake is so old that another one should follow. */
export function isOld(socket: Socket): boolean {
  const { [BEGUN_AT]: begunAt = 0 }: EraSocket = socket
  return performance.now() - begunAt > LONGEST_TRUST_MS
}

// Not destroy(): the last bytes of an answer may still have to go out.
function endIfIdle(socket: EraSocket): void {
  if (isOutdated(socket) && (socket[IN_FLIGHT]?.size ?? 0) === 0) socket.destroySoon()
}
