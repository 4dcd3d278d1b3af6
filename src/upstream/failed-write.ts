// Reads a connection to its end before a failed write destroys it.
// A registry that refuses an upload answers and closes. A failed write would destroy the unread answer.

import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { errorCode } from '../errors/errors.ts'

type WriteCallback = Parameters<Writable['_write']>[2]

export function readBeforeFailing(socket: Socket): void {
  const write = socket._write.bind(socket)
  const writev = socket._writev?.bind(socket)
  socket._write = (chunk, encoding, callback) => {
    write(chunk, encoding, delayError(socket, callback))
  }
  if (writev === undefined) return
  socket._writev = (chunks, callback) => {
    writev(chunks, delayError(socket, callback))
  }
}

function delayError(socket: Socket, callback: WriteCallback): WriteCallback {
  return (error) => {
    const isClosedByPeer = errorCode(error) === 'EPIPE' || errorCode(error) === 'ECONNRESET'
    if (!isClosedByPeer || socket.readableEnded || socket.destroyed) {
      callback(error)
      return
    }
    // One of these events follows, because the kernel knows that the peer has closed.
    socket.once('end', report)
    socket.once('close', report)

    function report(): void {
      socket.off('end', report)
      socket.off('close', report)
      callback(error)
    }
  }
}
