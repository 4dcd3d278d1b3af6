import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { frontFor } from '../fixtures/front.ts'
import { OK } from '../fixtures/programmable-upstream.ts'

const REQUESTS = 'http.client.request.start'

/** After its first error, each request to the registry on a kept connection reports another error. */
function reportErrorsTwice(): { readonly count: number } {
  const twice = { count: 0 }
  const listener = (message: unknown): void => {
    const { request } = message as { readonly request: ClientRequest }
    request.once('error', () => {
      if (!request.reusedSocket) return
      process.nextTick(() => {
        twice.count += 1
        request.emit('error', Object.assign(new Error('bytes were not sent'), { code: 'EPIPE' }))
      })
    })
  }
  subscribe(REQUESTS, listener)
  onTestFinished(() => void unsubscribe(REQUESTS, listener))
  return twice
}

async function statusOf(port: number): Promise<number | undefined> {
  const request = http.get({ host: '127.0.0.1', port, path: '/v2/a/tags/list', agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  return response.statusCode
}

it('a request that reports two errors at one attempt is sent again once', async () => {
  const answered = new Set<Socket>()
  let requests = 0
  const { port, failures } = await frontFor((socket) => {
    requests += 1
    if (answered.has(socket)) {
      socket.resetAndDestroy()
      return
    }
    answered.add(socket)
    socket.write(OK)
  })
  const twice = reportErrorsTwice()
  expect(await statusOf(port)).toBe(200)
  // The registry resets the kept connection, and answers on a new connection.
  expect(await statusOf(port)).toBe(200)
  expect([requests, twice.count, failures]).toEqual([3, 1, []])
})
