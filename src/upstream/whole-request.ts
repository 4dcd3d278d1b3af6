// Sends a request whose body is already in memory.

import { request as startRequest, type RequestOptions } from 'node:http'
import { failExchange, type Exchange } from './exchange.ts'
import { failureOf } from './failure.ts'
import { forwardResponse, type ResponseParts } from './response.ts'

export interface WholeRequestOptions extends Pick<
  RequestOptions,
  'hostname' | 'port' | 'socketPath' | 'agent'
> {
  readonly body: Buffer
  /** Limits a request whose client has left, because the watchdog no longer watches that request. */
  readonly responseTimeoutMs: number
  readonly parts: ResponseParts
}

/** Resolves when the registry has answered, or will never carry out the request. Never rejects. */
export function sendWhole(exchange: Exchange, options: WholeRequestOptions): Promise<void> {
  const { body, responseTimeoutMs, parts, ...to } = options
  const { incoming, target, registryHeaders } = exchange
  const headers = { ...registryHeaders, 'content-length': String(body.length) }
  delete headers['transfer-encoding']
  return new Promise((resolve) => {
    try {
      const request = startRequest({
        ...to,
        method: incoming.method,
        path: target,
        headers,
        timeout: responseTimeoutMs,
      })
      exchange.request = request
      request.on('error', (error) => {
        if (exchange.answer?.complete !== true) failExchange(exchange, failureOf(error))
      })
      request.on('timeout', () => {
        if (exchange.isOver) request.destroy()
      })
      request.once('response', (response) => {
        forwardResponse(exchange, response, parts)
        resolve()
      })
      request.once('close', () => {
        if (exchange.answer === undefined) failExchange(exchange, failureOf(undefined))
        resolve()
      })
      request.end(body)
    } catch (error) {
      failExchange(exchange, failureOf(error))
      resolve()
    }
  })
}
