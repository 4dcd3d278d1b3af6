// A request's body on its way to the registry.
//
// Instead of Readable.pipe, for one reason: each TLS record arrives in memory of its own, which the garbage collector
// would find out about too late. On Node 24 a push of 1 GiB then marks the whole heap thirty times, for a quarter of its
// CPU time. Here the memory is given back as soon as the bytes are on the registry's connection.

import type { ClientRequest, IncomingMessage } from 'node:http'
import { hasBody } from './drain-request-body.ts'

/** A body that is being sent on. */
export interface Upload {
  /** Nothing more of it is sent, nor read. */
  stop(): void
}

// Not on Node 20, whose collector finds out in time.
type Detachable = ArrayBufferLike & { readonly transfer?: (length: number) => unknown }

/** Sends the body as it comes, no faster than the registry takes it. A body that breaks off is not ended. */
export function sendBody(incoming: IncomingMessage, request: ClientRequest): Upload {
  // Threat: behind a head without a length, a body would be a second request that nobody authenticated.
  if (!hasBody({ headers: request.getHeaders() })) {
    request.end()
    return { stop: () => undefined }
  }
  incoming.on('data', onData)
  incoming.once('end', onEnd)
  request.on('drain', onDrain)
  return { stop }

  function onData(chunk: Buffer): void {
    const isTaken = request.write(chunk, (error) => {
      // With an error the connection may still be reading from it.
      if (error === undefined || error === null) giveBack(chunk)
    })
    if (!isTaken) incoming.pause()
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

// Only memory that holds this chunk and nothing else.
function giveBack({ buffer, byteLength }: Buffer): void {
  if (buffer.byteLength === byteLength) (buffer as Detachable).transfer?.(0)
}
