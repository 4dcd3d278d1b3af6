import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'

// Go clients that get an answer while they are still sending report "broken pipe" instead of the status unless we
// read on a little before we close. Bounded: nobody may make us read a whole upload that we refused.
export const LINGER_MS = 1_000
export const LINGER_BYTES = 64 * 1024 * 1024

/** Whether more of the request is to come. A request without a body is over, though Node may not have said so yet. */
export function isStillSending(incoming: IncomingMessage): boolean {
  return !incoming.complete && hasBody(incoming)
}

/** Whether the request's head announces a body, be it here already or not. */
export function hasBody({ headers }: { readonly headers: OutgoingHttpHeaders }): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/**
 * Ends an answer whose bytes have all been written, once the client has stopped sending or has been given long enough
 * to read it. The head must have said that the connection closes.
 */
export function endWhenRead(incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (!isStillSending(incoming) || incoming.destroyed) {
    incoming.resume()
    outgoing.end()
    return
  }
  let bytes = 0
  const timer = setTimeout(finish, LINGER_MS)
  incoming.on('data', onData)
  incoming.once('end', finish)
  incoming.once('close', finish)
  outgoing.once('close', finish)
  // The client may leave while we read; 'close' follows.
  incoming.on('error', () => undefined)
  incoming.resume()

  function onData(chunk: Buffer): void {
    bytes += chunk.length
    if (bytes > LINGER_BYTES) finish()
  }

  function finish(): void {
    clearTimeout(timer)
    incoming.off('data', onData)
    incoming.off('end', finish)
    incoming.off('close', finish)
    outgoing.end()
  }
}
