// Tests that code for answers reads the headers that the client sent.

import { once } from 'node:events'
import http from 'node:http'
import { expect, it, onTestFinished } from 'vitest'
import { REQUEST_HEADERS } from '../../src/upstream/headers.ts'
import { frontBefore } from '../fixtures/front.ts'
import { upstreamForTest } from '../fixtures/programmable-upstream.ts'

/** Takes a header off the list of those that the registry gets, until the test ends. */
function withhold(name: string): void {
  const list = REQUEST_HEADERS as Set<string>
  list.delete(name)
  onTestFinished(() => {
    list.add(name)
  })
}

it('rewrites a Location to the Host that the client sent, even if the registry does not get it', async () => {
  withhold('host')
  const upstream = await upstreamForTest((_soFar, socket) => {
    const location = `http://127.0.0.1:${upstream.port}/v2/x/blobs/uploads/1`
    socket.write(`HTTP/1.1 202 Accepted\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`)
  })
  const { port } = await frontBefore(upstream.port)
  const headers = { host: 'registry.example' }
  const request = http.get({ port, path: '/v2/x', agent: false, headers })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  response.resume()
  expect(upstream.received.join('')).not.toMatch(/^host: registry\.example/im)
  expect(response.headers.location).toBe('https://registry.example/v2/x/blobs/uploads/1')
})

it('closes after an early answer to an upload whose length the registry does not get', async () => {
  withhold('content-length')
  const upstream = await upstreamForTest((_soFar, socket) => {
    socket.write('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
  })
  const { port } = await frontBefore(upstream.port)
  const headers = { 'content-length': '100' }
  const request = http.request({ port, method: 'DELETE', path: '/v2/x', headers })
  request.on('error', () => undefined)
  request.write('GET /v2/smuggled HTTP/1.1\r\n\r\n')
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  expect(response.statusCode).toBe(400)
  expect(response.headers.connection).toBe('close')
  expect(upstream.received.join('')).not.toContain('smuggled')
  request.destroy()
})
