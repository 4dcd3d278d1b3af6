// Tests the one function that sends small requests.

import net from 'node:net'
import { expect, it } from 'vitest'
import { sendSmallRequest, type SmallRequest } from '../../../src/upstream/probe/small-request.ts'
import { answering, OK, upstreamForTest, type Behavior } from '../../fixtures/programmable-upstream.ts'

async function send(behave: Behavior, options: Partial<SmallRequest> = {}) {
  const { port } = await upstreamForTest(behave)
  const to = { hostname: '127.0.0.1', port }
  return sendSmallRequest({ to, path: '/v2/', timeoutMs: 5_000, maxBodyLength: 100, ...options })
}

/** An answer whose body never ends. */
const endless: Behavior = (_soFar, socket) => {
  socket.write(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(500)}`)
}

it('reads status, headers and body', async () => {
  expect(await send(answering(OK))).toMatchObject({
    kind: 'answer',
    status: 200,
    headers: { 'content-length': '2' },
    body: 'ok',
    isWhole: true,
  })
})

it('uses an open connection', async () => {
  const { port, received } = await upstreamForTest(answering(OK))
  const connection = net.connect(port, '127.0.0.1')
  const answer = await sendSmallRequest({
    to: { connection },
    path: '/v2/',
    headers: { host: 'registry.example' },
    timeoutMs: 5_000,
    maxBodyLength: 100,
  })
  connection.destroy()
  expect(answer).toMatchObject({ kind: 'answer', body: 'ok' })
  expect(received.join('')).toContain('registry.example')
})

it('reads no more of a body than it may', async () => {
  const answer = await send(endless)
  expect(answer).toMatchObject({ kind: 'answer', body: 'x'.repeat(100), isWhole: false })
})

it('needs only the head when the body does not matter', async () => {
  expect(await send(endless, { maxBodyLength: 0 })).toMatchObject({ kind: 'answer', status: 200, body: '' })
})

it('says when a body broke off', async () => {
  const answer = await send((_soFar, socket) => {
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok')
  })
  expect(answer).toMatchObject({ kind: 'answer', body: 'ok', isWhole: false })
})

it.each([
  ['a silent server', () => undefined],
  ['a body that stops', endless],
] as const)('times out for %s', async (_what, behave) => {
  expect(await send(behave, { timeoutMs: 300, maxBodyLength: 1_000 })).toEqual({ kind: 'timeout' })
})

it.each([
  ['no HTTP', 'HPE_INVALID_CONSTANT', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['no answer', 'ECONNRESET', ''],
])('names the code for %s', async (_what, code, bytes) => {
  const answer = await send((_soFar, socket) => {
    socket.end(bytes)
  })
  expect(answer).toEqual({ kind: 'failed', code })
})
