// Connects to a unix socket, also when its queue is full.
// If the queue is full, Linux fails at once with EAGAIN (connect(2)). For a port, the kernel would try again.

import type { Socket } from 'node:net'
import { errorCode } from '../../errors/errors.ts'

export type OnConnected = (error: Error | null, socket: Socket) => void

const RETRY_MS = 20
// All retries take 10 s, like the time limit of a connection to a port in watchdog.ts.
const MAX_RETRIES = 500

/** Calls `connect` again until the registry accepts. */
export function connectToSocket(connect: () => Socket, onConnected: OnConnected, retries = 0): void {
  const socket = connect()
  socket.once('error', onError)
  socket.once('connect', () => {
    socket.off('error', onError)
    onConnected(null, socket)
  })

  function onError(error: Error): void {
    if (errorCode(error) !== 'EAGAIN' || retries === MAX_RETRIES) onConnected(error, socket)
    else setTimeout(connectToSocket, RETRY_MS, connect, onConnected, retries + 1).unref()
  }
}
