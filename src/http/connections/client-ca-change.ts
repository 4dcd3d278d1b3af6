// Ends the connections that were verified under replaced client CAs.
// Threat: OpenSSL verifies a client only during the handshake. So clients of a removed CA would stay connected.

import { announceEnd, type ClientCaGeneration, type Connection } from './connection.ts'

// Node does not report that a client CA has expired. So connections with a client CA end after this age.
const MAX_HANDSHAKE_AGE_MS = 3_600_000

export interface ClientCaGenerations {
  readonly current: ClientCaGeneration
  /** Call it before the server gets the new client CAs. */
  revokeCurrent(): void
  /** Call it after the server got the new client CAs. */
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
        announceEnd(connection)
        endIfOutdated(connection)
      }
    },
  }
}

export function isOutdated({ clientCas }: Connection): boolean {
  return clientCas.isReplaced
}

export function isHandshakeOld({ secureSince }: Connection): boolean {
  return performance.now() - secureSince > MAX_HANDSHAKE_AGE_MS
}

export function endIfOutdated(connection: Connection): void {
  // destroySoon() still sends the last bytes of an answer.
  if (isOutdated(connection) && connection.answers.size === 0) connection.tls?.destroySoon()
}
