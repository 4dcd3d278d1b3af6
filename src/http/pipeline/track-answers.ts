// Records each answer from its request until it closes.

import type { RequestListener } from 'node:http'
import { endIfOutdated } from '../connections/client-ca-change.ts'
import { connectionOf, type Answer } from '../connections/connection.ts'
import { nextTurn } from '../connections/request-turns.ts'
import type { Transfers } from './transfers.ts'

export interface TrackAnswersOptions {
  /** Writes the access log and the metrics. */
  readonly report: (answer: Answer) => void
  readonly transfers: Pick<Transfers, 'end'>
}

/** Comes before all else that handles a request. The only listener for the end of answers here. */
export function trackAnswers({
  report,
  transfers,
}: TrackAnswersOptions): (listener: RequestListener) => RequestListener {
  return (listener) => (incoming, outgoing) => {
    const connection = connectionOf(incoming.socket)
    const answer: Answer = { connection, outgoing, facts: undefined, transfer: undefined }
    connection.answers.set(outgoing, answer)
    // An answer that still waits for its turn never closes. Its connection holds it and is freed with it.
    outgoing.once('close', () => {
      connection.answers.delete(outgoing)
      transfers.end(answer)
      report(answer)
      endIfOutdated(connection)
      nextTurn(connection.turns, outgoing)
    })
    listener(incoming, outgoing)
  }
}
