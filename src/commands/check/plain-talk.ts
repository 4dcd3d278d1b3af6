// What answers at a port that speaks no TLS: asked in plain text, without credentials.

import { connect } from 'node:net'
import { printable } from './finding.ts'
import type { Place } from './reach.ts'

export type PlainAnswer =
  | { readonly kind: 'http'; readonly status: number; readonly isRegistry: boolean }
  | { readonly kind: 'other'; readonly begins: string }
  | { readonly kind: 'nothing' }

const MAX_BYTES = 4096

/** Sends one HTTP request and looks at what comes back, or came unasked. Never rejects. */
export async function talkPlainly(place: Place, host: string, timeoutMs: number): Promise<PlainAnswer> {
  const text = await exchange(
    place,
    `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    timeoutMs,
  )
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]
  if (status !== undefined) {
    const isRegistry = /^docker-distribution-api-version: *registry\/2/im.test(text)
    return { kind: 'http', status: Number(status), isRegistry }
  }
  const begins = printable(text.slice(0, 80))
  return begins === '' ? { kind: 'nothing' } : { kind: 'other', begins }
}

function exchange({ address: host, port }: Place, request: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect({ host, port }, () => {
      socket.write(request)
    })
    const done = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(text)
    }
    const timer = setTimeout(done, timeoutMs)
    socket.on('error', done)
    socket.on('close', done)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      // A greeting needs no more, and a head of HTTP ends so.
      const isEnough = text.startsWith('HTTP/1.') ? text.includes('\r\n\r\n') : text.includes('\n')
      if (isEnough || text.length > MAX_BYTES) done()
    })
  })
}
