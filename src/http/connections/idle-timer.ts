// Node ends a connection on which nothing has moved for a while. A client that waits for us is not idle.

import type { ServerResponse } from 'node:http'

/** From here on somebody else decides how long this answer may take. Returns what gives that back to the timer. */
export function keepFromIdleTimer(outgoing: ServerResponse): () => void {
  outgoing.on('timeout', ignore)
  return () => {
    outgoing.off('timeout', ignore)
  }
}

// Node destroys the connection only when nobody listens.
const ignore = () => undefined
