// Sends plain HTTP to a port that does not speak TLS.

import { connect } from 'node:net'
import { printable } from '../check/finding.ts'
import type { Endpoint } from './reach.ts'

export type PlaintextAnswer =
  | { readonly kind: 'http'; readonly status: number; readonly isRegistry: boolean }
  | { readonly kind: 'other'; readonly begins: string }
  | { readonly kind: 'nothing' }

const MAX_LENGTH = 4096

/** Also recognizes servers that send the first bytes. Sends no credentials. Never rejects. */
export async function probePlaintext(
  endpoint: Endpoint,
  host: string,
  timeoutMs: number,
): Promise<PlaintextAnswer> {
  const request = `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  const text = await exchange(endpoint, request, timeoutMs)
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]
  if (status !== undefined) {
    const isRegistry = /^docker-distribution-api-version: *registry\/2/im.test(text)
    return { kind: 'http', status: Number(status), isRegistry }
  }
  const begins = printable(text.slice(0, 80))
  return begins === '' ? { kind: 'nothing' } : { kind: 'other', begins }
}

function exchange({ address: host, port }: Endpoint, request: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect({ host, port }, () => {
      socket.write(request)
    })
    const finish = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(text)
    }
    const timer = setTimeout(finish, timeoutMs)
    socket.on('error', finish)
    socket.on('close', finish)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      // An HTTP head ends with an empty line. For another protocol, the first line of its greeting is enough.
      const isEnough = text.startsWith('HTTP/1.') ? text.includes('\r\n\r\n') : text.includes('\n')
      if (isEnough || text.length > MAX_LENGTH) finish()
    })
  })
}
