// Answers that a registry sends during an upload reach the client.

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  startUpstream,
  upstreamForTest,
  type ProgrammableUpstream,
} from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const REFUSAL = 'too large, says the registry'
const ANSWER = `HTTP/1.1 413 Too Large\r\nContent-Length: ${REFUSAL.length}\r\n\r\n${REFUSAL}`
const PIECE = Buffer.alloc(64 * 1024)
const ROUNDS = 5

const end = (socket: Socket) => socket.end(ANSWER)
const closeUnread = (socket: Socket) => socket.pause().end(ANSWER, () => socket.destroy())

const CLOSINGS: readonly [how: string, on: 'port' | 'socket', close: (socket: Socket) => unknown][] = [
  ['ends', 'port', end],
  ['closes with the body unread', 'port', closeUnread],
  ['resets', 'port', (socket) => socket.write(ANSWER, () => socket.resetAndDestroy())],
  ['ends, on a unix socket,', 'socket', end],
  ['closes with the body unread, on a unix socket,', 'socket', closeUnread],
]

const UPLOADS: readonly [what: string, bytes: number, isChunked: boolean][] = [
  ['small', 10, false],
  ['small, in chunks', 10, true],
  ['of a megabyte', 16 * PIECE.length, false],
  ['of a megabyte, in chunks', 16 * PIECE.length, true],
  ['of a gigabyte', 16_384 * PIECE.length, false],
  ['of a gigabyte, in chunks', 16_384 * PIECE.length, true],
]

describe.each(CLOSINGS)('a registry that answers 413 and %s', (_how, on, close) => {
  let upstream: ProgrammableUpstream
  let sidecar: TestSidecar
  const folder = makeTempFolder()
  beforeAll(async () => {
    upstream = await startUpstream(
      (soFar, socket) => {
        if (!soFar.includes('\r\n\r\n') || socket.writableEnded || socket.bytesWritten > 0) return
        close(socket)
      },
      on === 'socket' ? path.join(folder, 'registry.sock') : undefined,
    )
    sidecar = await startSidecar({ env: { SIDECAR_UPSTREAM: upstream.upstream } })
  })
  afterAll(async () => {
    await sidecar.stop()
    upstream.stop()
    removeFolder(folder)
  })

  it.each(UPLOADS)(
    'reaches the client of an upload %s',
    { timeout: 60_000 },
    async (_what, bytes, isChunked) => {
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
