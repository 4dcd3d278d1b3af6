// Records each answer from its request until it closes.

import type { RequestListener } from 'node:http'
import { endIfOutdated } from '../connections/client-ca-change.ts'
import { connectionOf, type Answer } from '../connections/connection.ts'
import { nextTurn } from '../connections/request-turns.ts'
import type { Transfers } from './transfers.ts'

export interface TrackAnswersOptions {
  readonly report: (answer: Answer) => void
  readonly transfers: Pick<Transfers, 'end'>
}

export function trackAnswers({
  report,
  transfers,
}: TrackAnswersOptions): (listener: RequestListener) => RequestListener {
  return (listener) => (incoming, outgoing) => {
    const connection = connectionOf(incoming.socket)
    const answer: Answer = { connection, outgoing, facts: undefined, transfer: undefined }
    connection.answers.set(outgoing, answer)
    // An answer that still waits for its turn never closes; it is freed with its connection.
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
