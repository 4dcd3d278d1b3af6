// Manages connections to the registry: kept for GET and HEAD, else new.
//
// A registry, or a load balancer before it, may close a kept connection while a request goes out on it. Nothing shows
// whether the request was carried out. GET and HEAD are then sent again. A push sent twice may do harm, so all other
// methods use a new connection, which nothing has a reason to close.

import type { Agent } from 'node:http'
import type { Socket } from 'node:net'
import type { Exchange } from './exchange.ts'
import { createSplicingAgent } from './splice/splice.ts'

export interface Connections {
  /** The source of a request's connection. A retry gets a new one, because other kept ones may be stale too. */
  agentFor(exchange: Pick<Exchange, 'incoming' | 'isRetried'>): Agent
  close(): void
}

const MAX_IDLE_CONNECTIONS = 256

export function createConnections(): Connections {
  const kept = createSplicingAgent({
    keepAlive: true,
    maxFreeSockets: MAX_IDLE_CONNECTIONS,
    scheduling: 'lifo',
  })
  // keepAlive avoids "Connection: close". Without that header, Go's server reads on a little after an early answer
  // instead of resetting at once.
  const fresh = Object.assign(createSplicingAgent({ keepAlive: true }), { keepSocketAlive: resetSocket })
  return {
    agentFor: ({ incoming, isRetried }) => (isRepeatable(incoming.method) && !isRetried ? kept : fresh),
    close: () => {
      kept.destroy()
      fresh.destroy()
    },
  }
}

/** Whether a method has no body and may be sent twice without harm. */
export function isRepeatable(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD'
}

// Called when request and answer are over. An ordinary close keeps the local port for a minute (TIME_WAIT), so about 500
// requests a second would use up all ports to the registry. HAProxy closes connections to servers the same way.
function resetSocket(socket: Socket): boolean {
  socket.resetAndDestroy()
  return false
}
