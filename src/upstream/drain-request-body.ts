// Reads the rest of a request body before a connection closes.

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'

// A Go client reports "broken pipe" unless the rest is read. Threat: without limits, a whole refused upload is read.
export const MAX_DRAIN_MS = 1_000
export const MAX_DRAIN_BYTES = 64 * 1024 * 1024

/** Returns false for a request without a body, even if Node has not set `complete` yet. */
export function isStillSending(incoming: IncomingMessage): boolean {
  return !incoming.complete && hasBody(incoming)
}

export function hasBody({ headers }: { readonly headers: OutgoingHttpHeaders }): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** If the body is still arriving, the written head must contain `Connection: close`. */
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
