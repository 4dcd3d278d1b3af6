// Answers that a registry sends during an upload reach the client.

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { socketUpstreamForTest, upstreamForTest, type Behavior } from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const REFUSAL = 'too large, says the registry'
const ANSWER = `HTTP/1.1 413 Too Large\r\nContent-Length: ${REFUSAL.length}\r\n\r\n${REFUSAL}`
const PIECE = Buffer.alloc(64 * 1024)
const ROUNDS = 5

const onPort = (behave: Behavior) => upstreamForTest(behave)
const onSocket = (behave: Behavior) => socketUpstreamForTest(behave)
const end = (socket: Socket) => socket.end(ANSWER)
const closeUnread = (socket: Socket) => socket.pause().end(ANSWER, () => socket.destroy())

const CLOSINGS: readonly [how: string, start: typeof onPort, close: (socket: Socket) => unknown][] = [
  ['ends', onPort, end],
  ['closes with the body unread', onPort, closeUnread],
  ['resets', onPort, (socket) => socket.write(ANSWER, () => socket.resetAndDestroy())],
  ['ends, on a unix socket,', onSocket, end],
  ['closes with the body unread, on a unix socket,', onSocket, closeUnread],
]

const UPLOADS: readonly [what: string, bytes: number, isChunked: boolean][] = [
  ['small', 10, false],
  ['small, in chunks', 10, true],
  ['of a megabyte', 16 * PIECE.length, false],
  ['of a megabyte, in chunks', 16 * PIECE.length, true],
  ['of a gigabyte', 16_384 * PIECE.length, false],
  ['of a gigabyte, in chunks', 16_384 * PIECE.length, true],
]

describe.each(CLOSINGS)('a registry that answers 413 and %s', (_how, start, close) => {
  it.each(UPLOADS)(
    'reaches the client of an upload %s',
    { timeout: 60_000 },
    async (_what, bytes, isChunked) => {
      const upstream = await start((soFar, socket) => {
        if (!soFar.includes('\r\n\r\n') || socket.writableEnded || socket.bytesWritten > 0) return
        close(socket)
      })
      const sidecar = await sidecarForTest({ env: { SIDECAR_UPSTREAM: upstream.upstream } })
      for (let round = 0; round < ROUNDS; round++) {
        expect(await answerTo(sidecar, { bytes, isChunked })).toEqual([413, REFUSAL])
      }
      await until(() => upstream.open === 0, {
        deadlineMs: 5_000,
        what: 'the end of the upstream connections',
      })
    },
  )
})

it('an early answer that is cut does not look complete', async () => {
  const upstream = await upstreamForTest((soFar, socket) => {
    if (!soFar.includes('\r\n\r\n') || socket.bytesWritten > 0) return
    socket.write(ANSWER.slice(0, -5), () => socket.resetAndDestroy())
  })
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
  for (let round = 0; round < ROUNDS; round++) {
    await expect(answerTo(sidecar, { bytes: 16 * PIECE.length, isChunked: false })).rejects.toThrow()
  }
})

interface UploadShape {
  readonly bytes: number
  readonly isChunked: boolean
}

/** Sends until an answer arrives. Rejects if the answer is incomplete. */
async function answerTo(sidecar: TestSidecar, { bytes, isChunked }: UploadShape): Promise<[number, string]> {
  const request = https.request({
    auth: ALICE,
    host: '127.0.0.1',
    port: sidecar.port,
    ca: sidecar.root.pem,
    agent: false,
    method: 'PATCH',
    path: '/v2/x/blobs/uploads/1',
    headers: isChunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': bytes },
  })
  let left = bytes
  const send = (): void => {
    while (left > 0 && !request.destroyed) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length))
      left -= piece.length
      if (!request.write(piece) && left > 0) return
    }
    request.off('drain', send)
    if (!request.destroyed) request.end()
  }
  request.on('drain', send)
  const answered = once(request, 'response')
  send()
  const [response] = (await answered) as [IncomingMessage]
  request.off('drain', send)
  // After the answer, the connection may close while the client still sends.
  request.on('error', () => undefined)
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  request.destroy()
  return [response.statusCode ?? 0, Buffer.concat(chunks).toString()]
}
