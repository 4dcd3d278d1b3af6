// Answers a request for the events of the live status.

import type { IncomingMessage } from 'node:http'
import { refusal, sendRefusal } from '../refusals.ts'
import type { LiveStatus, Viewer } from './live-status.ts'
import { EVENT_HEADERS } from './status-headers.ts'

const TOO_MANY = refusal('unavailable', 'too many clients watch the status; try again', {
  'Retry-After': '5',
})

export function watchStatus(
  incoming: IncomingMessage,
  live: Pick<LiveStatus, 'watch'>,
  viewer: Viewer,
): 'watching' | 'refused' | 'gone' {
  const { outgoing } = viewer
  // The response has already closed, so no 'close' event would end the stream.
  if (outgoing.destroyed || outgoing.closed) return 'gone'
  if (incoming.method === 'HEAD') {
    outgoing.writeHead(200, EVENT_HEADERS).end()
    return 'watching'
  }
  const outcome = live.watch(viewer)
  if (outcome === 'refused') sendRefusal(incoming, outgoing, TOO_MANY)
  return outcome
}
