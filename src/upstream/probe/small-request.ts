// Sends one small HTTP request and reads its answer.

import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { errorCode, errorMessage } from '../../errors/errors.ts'

export interface SmallRequest {
  readonly to: { readonly hostname: string; readonly port: number } | { readonly connection: Socket }
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs: number
  /** In characters. With 0 the request ends when the head has arrived. */
  readonly maxBodyLength: number
}

export type SmallAnswer =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers: IncomingHttpHeaders
      readonly body: string
      readonly isWhole: boolean
    }
  | { readonly kind: 'failed'; readonly code: string }
  | { readonly kind: 'timeout' }

/** Never rejects. */
export function sendSmallRequest(options: SmallRequest): Promise<SmallAnswer> {
  const { to, method = 'GET', path, headers = {}, timeoutMs, maxBodyLength } = options
  const signal = AbortSignal.timeout(timeoutMs)
  // With an agent, Node would ignore `createConnection`.
  const via =
    'connection' in to ? { createConnection: () => to.connection } : { ...to, agent: false as const }
  return new Promise((resolve) => {
    const outgoing = request({ ...via, method, path, headers, signal }, (response) => {
      void readBody(response, maxBodyLength).then((body) => {
        if (signal.aborted) resolve({ kind: 'timeout' })
        else resolve(answerOf(response, body))
      })
    })
    outgoing.on('error', (error) => {
      if (signal.aborted) resolve({ kind: 'timeout' })
      else resolve({ kind: 'failed', code: errorCode(error) ?? errorMessage(error) })
    })
    outgoing.end()
  })
}

function answerOf(response: IncomingMessage, body: string): SmallAnswer {
  const { statusCode: status = 0, headers, complete: isWhole } = response
  return { kind: 'answer', status, headers, body, isWhole }
}

// Threat: a server sends an endless body and fills the memory.
function readBody(response: IncomingMessage, maxLength: number): Promise<string> {
  return new Promise((resolve) => {
    let body = ''
    response.on('error', () => undefined)
    response.on('close', () => {
      resolve(body)
    })
    if (maxLength === 0) {
      response.resume()
      resolve(body)
      return
    }
    response.setEncoding('utf8')
    response.on('data', (text: string) => {
      body = (body + text).slice(0, maxLength)
      if (body.length === maxLength) response.destroy()
    })
  })
}
