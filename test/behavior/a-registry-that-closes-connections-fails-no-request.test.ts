// A registry closes kept connections: no request fails and none runs twice.

import http, { type RequestOptions } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { frontBefore, frontFor } from '../fixtures/front.ts'
import { OK } from '../fixtures/programmable-upstream.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const ROUNDS = repetitions({ usual: 8, stress: 60 })
interface Closing {
  readonly on: 'port' | 'socket'
  readonly close: (socket: Socket) => unknown
}

const CLOSINGS: Readonly<Record<string, Closing>> = {
  FIN: { on: 'port', close: (socket) => socket.end() },
  RST: { on: 'port', close: (socket) => socket.resetAndDestroy() },
  'the end of a unix socket': { on: 'socket', close: (socket) => socket.end() },
  'the loss of a unix socket': { on: 'socket', close: (socket) => socket.destroy() },
}
const DELAYS_MS = [0, 1, 3, 10]
const KINDS: readonly { readonly method: string; readonly body?: string; readonly isChunked?: boolean }[] = [
  { method: 'GET' },
  { method: 'HEAD' },
  { method: 'POST' },
  { method: 'POST', body: 'hello' },
  { method: 'PATCH', body: 'hello', isChunked: true },
  { method: 'PUT' },
  { method: 'PUT', body: 'hello' },
  { method: 'DELETE' },
]

const cells = Object.entries(CLOSINGS).flatMap(([how, closing]) =>
  DELAYS_MS.flatMap((delayMs) => [1, 4].map((together) => [how, delayMs, together, closing] as const)),
)

describe.each(cells)(
  'a registry that closes by %s %d ms after each answer, with %d requests at once,',
  (...cell) => {
    const [, delayMs, together, { on, close }] = cell

    it('fails no request and runs none twice', { timeout: 60_000 }, async () => {
      const registry = await closingRegistry(on, (socket) => {
        if (delayMs === 0) setImmediate(close, socket)
        else setTimeout(close, delayMs, socket)
      })
      const { port, failures } = await frontBefore(registry.address)
      const agent = new http.Agent({ keepAlive: true })
      onTestFinished(() => {
        agent.destroy()
      })
      for (const { method, body, isChunked } of KINDS) {
        const length = method === 'GET' || method === 'HEAD' ? {} : { 'Content-Length': body?.length ?? 0 }
        const headers = isChunked === true ? { 'Transfer-Encoding': 'chunked' } : length
        const send = async (round: number): Promise<number> => {
          if (round % 3 === 0) await pause(delayMs)
          const path = `/v2/${method}/${body ?? ''}/${round}`
          return statusOf({ port, agent, method, path, headers }, body)
        }
        expect(await statusesOf(send, together)).toEqual({ 200: ROUNDS })
      }
      expect(failures).toEqual([])
      const runs = [...registry.runs]
      expect(runs).toHaveLength(KINDS.length * ROUNDS)
      expect(runs.filter(([what, times]) => times > 1 && !/^(?:GET|HEAD) /.test(what))).toEqual([])
    })
  },
)

describe('a request that must not run twice', () => {
  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])('gets a new connection: %s', async (method) => {
    const requestsOn = new Map<Socket, number>()
    const { port } = await frontFor((socket) => {
      requestsOn.set(socket, (requestsOn.get(socket) ?? 0) + 1)
      socket.write(OK)
    })
    const headers = { 'Content-Length': 0 }
    for (const each of ['GET', 'GET', method, 'GET', method]) await statusOf({ port, method: each, headers })
    // The three GETs share one connection.
    expect([...requestsOn.values()]).toEqual([3, 1, 1])
  })

  it('leaves no port in TIME_WAIT', async () => {
    const ends: string[] = []
    const { port } = await frontFor((socket) => {
      socket.on('end', () => ends.push('end'))
      socket.on('error', (error: NodeJS.ErrnoException) => ends.push(error.code ?? ''))
      socket.write(OK)
    })
    await statusOf({ port, method: 'POST', headers: { 'Content-Length': 0 } })
    await until(() => ends.length > 0, { deadlineMs: 5_000, what: 'the end of the connection' })
    expect(ends).toEqual(['ECONNRESET'])
  })
})

/** Counts the requests that it ran and calls `onAnswered` with the connection after each answer. */
async function closingRegistry(on: 'port' | 'socket', onAnswered: (socket: Socket) => void) {
  const runs = new Map<string, number>()
  const server = http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
    request.resume()
    request.on('end', () => {
      const what = `${request.method ?? ''} ${request.url ?? ''}`
      runs.set(what, (runs.get(what) ?? 0) + 1)
      response.on('finish', () => {
        onAnswered(request.socket)
      })
      response.end('ok')
    })
  })
  server.on('connection', (socket) => socket.on('error', () => undefined))
  const socketPath = path.join(tempFolder(), 'registry.sock')
  const listen = on === 'port' ? { host: '127.0.0.1', port: 0 } : { path: socketPath }
  await new Promise<void>((resolve) => server.listen(listen, resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { address: on === 'port' ? (server.address() as AddressInfo).port : { socketPath }, runs }
}

/** Counts the answers by status. */
async function statusesOf(send: (round: number) => Promise<number>, together: number) {
  const counts: Record<number, number> = {}
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < ROUNDS) {
      const status = await send(next++)
      counts[status] = (counts[status] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: together }, worker))
  return counts
}

/** Resolves to the status of the answer, or 0 without an answer. */
function statusOf(options: RequestOptions, body?: string): Promise<number> {
  return new Promise((resolve) => {
    const request = http.request(options, (response) => {
      response.on('error', () => {
        resolve(0)
      })
      response.on('end', () => {
        resolve(response.statusCode ?? 0)
      })
      response.resume()
    })
    request.on('error', () => {
      resolve(0)
    })
    request.end(body)
  })
}
