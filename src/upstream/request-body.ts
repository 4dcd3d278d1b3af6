// Sends a request's body to the registry.
// Node 24 frees the memory of TLS records late. Freeing it at once saves a quarter of the CPU time of a push.

import type { ClientRequest, IncomingMessage } from 'node:http'
import { hasBody } from './drain-request-body.ts'

export interface Upload {
  stop(): void
}

// Node 20 has no transfer(), and frees the memory in time.
type Detachable = ArrayBufferLike & { readonly transfer?: (length: number) => unknown }

/** If the client stops in the middle of its body, the request to the registry stays incomplete. */
export function sendBody(incoming: IncomingMessage, request: ClientRequest): Upload {
  // Threat: after a head without a length, a body would be a second request that nobody authenticated.
  if (!hasBody({ headers: request.getHeaders() })) {
    request.end()
    return { stop: () => undefined }
  }
  incoming.on('data', onData)
  incoming.once('end', onEnd)
  request.on('drain', onDrain)
  return { stop }

  function onData(chunk: Buffer): void {
    const hasRoom = request.write(chunk, (error) => {
      // After an error the connection may still read from the chunk.
      if (error === undefined || error === null) free(chunk)
    })
    if (!hasRoom) incoming.pause()
  }

  function onDrain(): void {
    incoming.resume()
  }

  function onEnd(): void {
    request.end()
  }

  function stop(): void {
    incoming.off('data', onData)
    incoming.off('end', onEnd)
    request.off('drain', onDrain)
    incoming.pause()
  }
}

function free({ buffer, byteLength }: Buffer): void {
  const holdsOnlyThisChunk = buffer.byteLength === byteLength
  if (holdsOnlyThisChunk) (buffer as Detachable).transfer?.(0)
}
