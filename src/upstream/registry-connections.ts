// Connections to the registry: kept ones for GET and HEAD, new ones otherwise.
//
// A registry, or a balancer before it, may close a kept connection just as a request goes out on it, and nothing says
// whether it carried the request out. GET and HEAD are sent again then. A push is not: done twice it may do harm, and a
// look at the connection before it is used cannot see what is still on its way. So everything else gets a connection
// that nobody had a reason to close.

import type { Agent } from 'node:http'
import type { Socket } from 'node:net'
import type { Exchange } from './exchange.ts'
import { createSplicingAgent } from './splice/splice.ts'

export interface Connections {
  /** Where a request gets its connection from. A second try must not meet another kept one that is as stale. */
  agentFor(exchange: Pick<Exchange, 'incoming' | 'isRetried'>): Agent
  close(): void
}

// Beyond that they are closed when they become idle.
const MAX_IDLE_CONNECTIONS = 256

export function createConnections(): Connections {
  const kept = createSplicingAgent({
    keepAlive: true,
    maxFreeSockets: MAX_IDLE_CONNECTIONS,
    scheduling: 'lifo',
  })
  // Without "Connection: close": Go's server then reads on a little after an early answer instead of resetting at once.
  const fresh = Object.assign(createSplicingAgent({ keepAlive: true }), { keepSocketAlive: letGo })
  return {
    agentFor: ({ incoming, isRetried }) => (isRepeatable(incoming.method) && !isRetried ? kept : fresh),
    close: () => {
      kept.destroy()
      fresh.destroy()
    },
  }
}

/** Whether doing it twice is the same as doing it once, and there is no body that could be half read. */
export function isRepeatable(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD'
}

// Called when request and answer are over. An ordinary close would keep the port for a minute (TIME_WAIT): some 500
// requests a second then leave no port for anybody to reach the registry from. HAProxy closes to servers the same way.
function letGo(socket: Socket): boolean {
  socket.resetAndDestroy()
  return false
}
