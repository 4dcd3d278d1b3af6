// Reads the rest of a request body before a connection closes.

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'

// A Go client that gets an answer while it sends reports "broken pipe" instead of the status, unless we read on
// before we close. Threat: these limits keep a client from making us read a whole upload that we refused.
export const MAX_DRAIN_MS = 1_000
export const MAX_DRAIN_BYTES = 64 * 1024 * 1024

/** Whether the client is still sending. False without a body, even if Node has not set `complete` yet. */
export function isStillSending(incoming: IncomingMessage): boolean {
  return !incoming.complete && hasBody(incoming)
}

/** Whether the head of a request announces a body. */
export function hasBody({ headers }: { readonly headers: OutgoingHttpHeaders }): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/**
 * Ends an answer whose bytes are all written. Waits until the client has stopped sending or a limit is reached. The
 * head must already say that the connection closes.
 */
export function endWhenRead(incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (!isStillSending(incoming) || incoming.destroyed) {
    incoming.resume()
    outgoing.end()
    return
  }
  let bytes = 0
  const timer = setTimeout(finish, MAX_DRAIN_MS)
  incoming.on('data', onData)
  incoming.once('end', finish)
  incoming.once('close', finish)
  outgoing.once('close', finish)
  // If the client leaves, 'error' and then 'close' follow.
  incoming.on('error', () => undefined)
  incoming.resume()

  function onData(chunk: Buffer): void {
    bytes += chunk.length
    if (bytes > MAX_DRAIN_BYTES) finish()
  }

  function finish(): void {
    clearTimeout(timer)
    incoming.off('data', onData)
    incoming.off('end', finish)
    incoming.off('close', finish)
    outgoing.end()
  }
}
