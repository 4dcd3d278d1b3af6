// Sends one small HTTP request and reads its answer.

import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { errorCode, errorMessage } from '../../errors/errors.ts'
import { connectToSocket, type OnConnected } from '../connect/connect-to-socket.ts'
import type { RegistryAddress, SocketAddress } from '../connect/registry-address.ts'

export interface OpenConnection {
  readonly connection: Socket
}

export interface SmallRequest {
  readonly to: RegistryAddress | OpenConnection
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs: number
  /** In characters. With 0 the answer is complete when its head has arrived. */
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
  const via = 'port' in to ? { ...to, agent: false as const } : { createConnection: connectionTo(to) }
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

function connectionTo(to: SocketAddress | OpenConnection) {
  return (_options: unknown, onConnected: OnConnected): Socket | undefined => {
    if ('connection' in to) return to.connection
    connectToSocket(() => connect(to.socketPath), onConnected)
    return undefined
  }
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
