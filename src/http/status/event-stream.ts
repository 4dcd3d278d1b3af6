// Sends server-sent events on one response (HTML Standard §9.2).

import type { ServerResponse } from 'node:http'
import { pauseIdleTimer } from '../pipeline/step.ts'
import { EVENT_HEADERS } from './status-headers.ts'

export interface EventStream {
  /** Returns `skipped` if the client has not read earlier events yet. */
  send(frame: string): 'sent' | 'skipped'
  /** Sends a comment if nothing was sent for a while, so that proxies keep the connection. */
  keepAlive(): void
  /** May be called again. Nothing is sent afterwards. */
  end(): void
}

const KEEP_ALIVE_MS = 15_000

// Threat: clients that never read keep their connections, because the idle timer of the listener does not apply here.
const MAX_UNREAD_MS = 30_000

// Threat: a client that does not read its last events would keep its connection.
const MAX_END_MS = 5_000

const RETRY_MS = 3_000

/** Call it once for each response, before its head is sent. */
export function openEventStream(outgoing: ServerResponse, clock: () => number): EventStream {
  const restoreIdleTimer = pauseIdleTimer(outgoing)
  let lastSentAt = clock()
  let isEnded = false
  // Without a listener, an error of this response would end the process.
  outgoing.on('error', () => undefined)
  outgoing.writeHead(200, EVENT_HEADERS)
  outgoing.write(`retry: ${RETRY_MS}\n\n`)

  function write(text: string): 'sent' | 'skipped' {
    if (isEnded || outgoing.destroyed) return 'skipped'
    if (outgoing.writableNeedDrain) {
      if (clock() - lastSentAt > MAX_UNREAD_MS) outgoing.destroy()
      return 'skipped'
    }
    lastSentAt = clock()
    outgoing.write(text)
    return 'sent'
  }

  return {
    send: (frame) => write(`data: ${frame}\n\n`),
    keepAlive: () => {
      if (clock() - lastSentAt >= KEEP_ALIVE_MS) write(':\n\n')
    },
    end: () => {
      if (isEnded) return
      isEnded = true
      restoreIdleTimer()
      if (outgoing.destroyed || outgoing.closed) return
      if (outgoing.writableNeedDrain) outgoing.destroy()
      else endWithin(outgoing, MAX_END_MS)
    },
  }
}

function endWithin(outgoing: ServerResponse, limitMs: number): void {
  const timer = setTimeout(() => outgoing.destroy(), limitMs).unref()
  outgoing.once('close', () => {
    clearTimeout(timer)
  })
  outgoing.end()
}
