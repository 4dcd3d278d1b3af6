// Ends connections that were verified by replaced client CAs.
//
// OpenSSL verifies a client certificate once, in the handshake, and connections live long. When a client CA is removed,
// its clients must be out too; a request in flight at that moment may finish.

import type { ClientCaGeneration, Connection } from './connection.ts'

// Client CAs and their intermediates expire, and Node does not report those of a connection. This limits how long a
// connection outlasts them.
const MAX_HANDSHAKE_AGE_MS = 3_600_000

export interface ClientCaGenerations {
  readonly current: ClientCaGeneration
  /** Refuses all connections until `clientCaChanged`. Call it before the server gets the new client CAs. */
  revokeCurrent(): void
  /** Ends idle connections of the previous client CAs. The server must have the new ones already. */
  clientCaChanged(open: Iterable<Connection>): void
}

export function createClientCaGenerations(): ClientCaGenerations {
  let current: ClientCaGeneration = { isReplaced: false }

  return {
    get current() {
      return current
    },
    revokeCurrent: () => {
      current.isReplaced = true
    },
    clientCaChanged: (open) => {
      current.isReplaced = true
      current = { isReplaced: false }
      for (const connection of open) {
        // The answer announces the end. Otherwise a push would lose its next request on this connection.
        for (const outgoing of connection.answers.keys()) {
          if (!outgoing.headersSent) outgoing.shouldKeepAlive = false
        }
        endIfOutdated(connection)
      }
    },
  }
}

/** Whether the client CAs changed since the handshake, so that its verdict is no longer valid. */
export function isOutdated({ clientCas }: Connection): boolean {
  return clientCas.isReplaced
}

/** Whether the handshake is so old that the client must make another. */
export function isHandshakeOld({ secureSince }: Connection): boolean {
  return performance.now() - secureSince > MAX_HANDSHAKE_AGE_MS
}

/** Ends an outdated connection that has no answer in flight. */
export function endIfOutdated(connection: Connection): void {
  // Not destroy(): the last bytes of an answer may still wait to be sent.
  if (isOutdated(connection) && connection.answers.size === 0) connection.tls?.destroySoon()
}
