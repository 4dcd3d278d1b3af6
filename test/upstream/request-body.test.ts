// Tests that uploads arrive byte for byte, although their memory is freed on the way.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { frontFor } from '../fixtures/front.ts'
import { until } from '../fixtures/until.ts'

const MIB = 1024 * 1024
const BLOB = randomBytes(24 * MIB)
const CREATED = 'HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n'

/** Creates a registry that reads everything and answers once `isWhole` is true for the body. */
function recorder(isWhole: (body: Buffer) => boolean, { slowly = false } = {}) {
  const chunks: Buffer[] = []
  let size = 0
  return {
    bytes: () => Buffer.concat(chunks),
    answer: (socket: Socket, chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (slowly && chunks.length % 8 === 0) {
        socket.pause()
        setTimeout(() => socket.resume(), 2)
      }
      if (size >= BLOB.length && isWhole(bodyOf(Buffer.concat(chunks)))) socket.write(CREATED)
    },
  }
}

function bodyOf(bytes: Buffer): Buffer {
  return bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)
}

/** Decodes RFC 9112 §7.1, without extensions and trailers, because Node sends none. */
function dechunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16)
    if (!(size > 0)) break
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
  return Buffer.concat(parts)
}

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

function put(port: number, headers: http.OutgoingHttpHeaders): http.ClientRequest {
  const request = http.request({ port, method: 'PUT', path: '/v2/x', agent: false, headers })
  request.on('error', () => undefined)
  return request
}

describe('an upload', () => {
  it.each([
    ['of known length', false, false],
    ['of known length to a slow registry', false, true],
    ['in chunks', true, false],
    ['in chunks to a slow registry', true, true],
  ])('%s arrives byte for byte', { timeout: 120_000 }, async (_what, isChunked, slowly) => {
    const registry = recorder(
      (body) =>
        isChunked ? body.subarray(-5).toString('latin1') === '0\r\n\r\n' : body.length >= BLOB.length,
      { slowly },
    )
    const { port } = await frontFor(registry.answer)
    const request = put(port, isChunked ? {} : { 'Content-Length': BLOB.length })
    for (let at = 0; at < BLOB.length;) {
      const next = at + 1 + ((at * 7919) % 200_000)
      // A copy, because memory that is freed too early would otherwise be the test's.
      if (!request.write(Buffer.from(BLOB.subarray(at, next)))) await once(request, 'drain')
      at = next
      if (at % 11 === 0) await pause(1)
    }
    request.end()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(response.statusCode).toBe(201)
    const body = bodyOf(registry.bytes())
    expect(digestOf(isChunked ? dechunked(body) : body)).toBe(digestOf(BLOB))
  })

  it('that comes together with its head arrives', async () => {
    const { port } = await frontFor((socket, chunk) => {
      if (chunk.toString('latin1').includes('manifest')) socket.write(CREATED)
    })
    const request = put(port, { 'Content-Length': 8 })
    request.end('manifest')
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(response.statusCode).toBe(201)
  })

  it('is not read while the registry reads nothing', async () => {
    const { port } = await frontFor((socket) => socket.pause())
    const piece = Buffer.alloc(64 * 1024)
    const pieces = 1_500
    const request = put(port, { 'Content-Length': pieces * piece.length })
    let taken = 0
    let checksSince = 0
    const send = (): void => {
      request.write(piece, () => {
        taken += 1
        checksSince = 0
        if (taken < pieces) send()
      })
    }
    send()
    // Counts checks instead of milliseconds, because between two checks all bytes move that can.
    const isStill = () => {
      checksSince += 1
      return taken > 0 && checksSince > 60
    }
    await until(isStill, { deadlineMs: 10_000, what: 'a standstill' })
    // The kernel's buffers of two connections hold less than the body.
    expect(taken).toBeLessThan(pieces)
    request.destroy()
  })

  it('no longer goes to a registry that answered early, and its answer arrives', async () => {
    let received = 0
    let registry: Socket | undefined
    const { port } = await frontFor((socket, chunk) => {
      if (registry === undefined) socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 10\r\n\r\n01234')
      registry = socket
      received += chunk.length
    })
    const request = put(port, {})
    const piece = Buffer.alloc(64 * 1024)
    let sent = 0
    const timer = setInterval(() => {
      sent += 1
      request.write(piece)
    }, 1)
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    const [before, sentBefore] = [received, sent]
    await until(() => sent - sentBefore >= 200, { deadlineMs: 10_000, what: 'two hundred pieces' })
    clearInterval(timer)
    // These bytes were on their way when the answer came. The two hundred later pieces are not among them.
    expect(received - before).toBeLessThan(1024 * 1024)
    registry?.write('56789')
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    expect([response.statusCode, Buffer.concat(chunks).toString()]).toEqual([413, '0123456789'])
    request.destroy()
  })

  it('is never completed at the registry if the client leaves', async () => {
    let received = ''
    let isClosed = false
    const { port, failures } = await frontFor((socket, chunk) => {
      received += chunk.toString('latin1')
      socket.once('close', () => (isClosed = true))
    })
    const request = put(port, {})
    request.write('some of it')
    await until(() => received.includes('some of it'), { deadlineMs: 2_000, what: 'the first bytes' })
    request.destroy()
    await until(() => isClosed, { deadlineMs: 2_000, what: 'the end of the connection' })
    expect(received).not.toContain('\r\n0\r\n')
    expect(failures.map(({ kind }) => kind)).toEqual(['client-closed'])
  })
})
