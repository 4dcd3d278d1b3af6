// Manages connections to the registry: reused for GET and HEAD, else new.
// A reused connection may close while a request is sent. Only GET and HEAD can be sent again without harm.

import type { Agent } from 'node:http'
import type { Socket } from 'node:net'
import type { Exchange } from '../exchange.ts'
import type { RegistryAddress } from './registry-address.ts'
import { createSplicingAgent } from '../splice/splice.ts'

export interface Connections {
  /** A retry gets a new connection, because other kept connections may be stale too. */
  agentFor(exchange: Pick<Exchange, 'incoming' | 'attempt'>): Agent
  close(): void
}

const MAX_IDLE_CONNECTIONS = 256

export function createConnections(address: RegistryAddress): Connections {
  const kept = createSplicingAgent({
    keepAlive: true,
    maxFreeSockets: MAX_IDLE_CONNECTIONS,
    scheduling: 'lifo',
  })
  // Without keepAlive, Node sends "Connection: close". Then Go's server resets the connection after an early answer.
  const keepSocketAlive = 'socketPath' in address ? destroySocket : resetSocket
  const fresh = Object.assign(createSplicingAgent({ keepAlive: true }), { keepSocketAlive })
  return {
    agentFor: ({ incoming, attempt }) => (isRepeatable(incoming.method) && attempt === 0 ? kept : fresh),
    close: () => {
      kept.destroy()
      fresh.destroy()
    },
  }
}

export function isRepeatable(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD'
}

// An ordinary close keeps the local port for a minute (TIME_WAIT), and a busy sidecar would use up all ports.
function resetSocket(socket: Socket): boolean {
  socket.resetAndDestroy()
  return false
}

// A unix socket has no port, and Node cannot reset it.
function destroySocket(socket: Socket): boolean {
  socket.destroy()
  return false
}
