// Tests that faults at random places never change a large answer.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Upstream } from '../../../src/upstream/upstream.ts'
import { frontFor } from '../../fixtures/front.ts'
import { repetitions } from '../../fixtures/repetitions.ts'
import { until } from '../../fixtures/until.ts'

const MIB = 1024 * 1024
const BLOB = randomBytes(3.5 * MIB)
const CUTS = repetitions({ usual: 10, stress: 150 })
const PULLS = repetitions({ usual: 20, stress: 100 })

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Returns pseudo-random numbers, the same in every run (mulberry32). */
function seeded(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

const headFor = (length: number): string => `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`

interface Pull {
  readonly bytes: Buffer
  /** Whether the body has its announced length. */
  readonly isWhole: boolean
}

/** Pulls. With `leaveAt` the client leaves after about that many bytes; with `slowly` it reads with pauses. */
async function pull(port: number, { leaveAt = Infinity, slowly = false } = {}): Promise<Pull> {
  const request = http.get({ port, path: '/v2/x', agent: false })
  request.on('error', () => undefined)
  const closed = new Promise((resolve) => request.once('close', resolve))
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  response.on('error', () => undefined)
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response) {
      chunks.push(chunk as Buffer)
      size += (chunk as Buffer).length
      if (size >= leaveAt) break
      if (slowly && chunks.length % 16 === 0) await pause(2)
    }
  } catch {
    // The answer was cut. The bytes so far are checked.
  }
  request.destroy()
  await closed
  return { bytes: Buffer.concat(chunks), isWhole: response.complete }
}

async function expectNoBufferInUse(upstream: Upstream): Promise<void> {
  await until(() => upstream.spliceBytesInUse === 0, {
    deadlineMs: 5_000,
    what: 'the return of every buffer',
  })
}

describe('a large answer', () => {
  it.each([
    [
      'in one write with its head',
      (socket: Socket) => socket.write(Buffer.concat([Buffer.from(headFor(BLOB.length)), BLOB])),
    ],
    [
      'after its head',
      (socket: Socket) => socket.write(headFor(BLOB.length), () => setTimeout(() => socket.write(BLOB), 30)),
    ],
    [
      'and a connection that closes',
      (socket: Socket) => socket.end(Buffer.concat([Buffer.from(headFor(BLOB.length)), BLOB])),
    ],
  ])('%s arrives byte for byte, at a fast and at a slow client', async (_how, answer) => {
    const { port, upstream } = await frontFor(answer)
    for (const slowly of [false, true]) {
      const { bytes, isWhole } = await pull(port, { slowly })
      expect([isWhole, digestOf(bytes)]).toEqual([true, digestOf(BLOB)])
    }
    await expectNoBufferInUse(upstream)
  })

  it('in pieces of any size, with pauses, arrives byte for byte', async () => {
    const random = seeded(1)
    const { port, upstream } = await frontFor((socket) => void dribble(socket))
    async function dribble(socket: Socket): Promise<void> {
      const whole = Buffer.concat([Buffer.from(headFor(BLOB.length)), BLOB])
      for (let at = 0; at < whole.length;) {
        const next = at + 1 + random(random(4) === 0 ? 300_000 : 3_000)
        if (!socket.write(whole.subarray(at, next))) await once(socket, 'drain')
        at = next
        if (random(50) === 0) await pause(1)
      }
    }
    for (let i = 0; i < repetitions({ usual: 2, stress: 5 }); i++)
      expect(digestOf((await pull(port, { slowly: i % 2 === 1 })).bytes)).toBe(digestOf(BLOB))
    await expectNoBufferInUse(upstream)
  })

  it.each([1 * MIB - 1, 1 * MIB, 1 * MIB + 1, 65_536 * 17, 2 * MIB + 12_345])(
    'of %i bytes arrives whole',
    async (size) => {
      const part = BLOB.subarray(0, size)
      const { port, upstream } = await frontFor((socket) =>
        socket.write(Buffer.concat([Buffer.from(headFor(size)), part])),
      )
      for (let i = 0; i < 3; i++) expect(digestOf((await pull(port)).bytes)).toBe(digestOf(part))
      await expectNoBufferInUse(upstream)
    },
  )

  it(
    `cut by the registry at any of ${CUTS} places never looks whole, and has no wrong byte`,
    { timeout: 180_000 },
    async () => {
      const random = seeded(2)
      const cut = { at: 0, isReset: false }
      const { port, upstream } = await frontFor((socket) => {
        socket.write(Buffer.concat([Buffer.from(headFor(BLOB.length)), BLOB.subarray(0, cut.at)]), () => {
          if (cut.isReset) setTimeout(() => socket.resetAndDestroy(), 5)
          else socket.end()
        })
      })
      for (let i = 0; i < CUTS; i++) {
        cut.at = random(10) === 0 ? BLOB.length - 1 - random(3) : random(BLOB.length)
        cut.isReset = i % 2 === 1
        const { bytes, isWhole } = await pull(port)
        expect(isWhole).toBe(false)
        expect(bytes.length).toBeLessThanOrEqual(cut.at)
        expect(bytes.equals(BLOB.subarray(0, bytes.length))).toBe(true)
      }
      await expectNoBufferInUse(upstream)
    },
  )

  it(
    `left by the client at any of ${CUTS} places closes the registry's connection`,
    { timeout: 180_000 },
    async () => {
      const random = seeded(3)
      let open = 0
      const { port, upstream } = await frontFor((socket) => {
        open += 1
        socket.once('close', () => (open -= 1))
        socket.write(Buffer.concat([Buffer.from(headFor(BLOB.length)), BLOB]))
      })
      for (let i = 0; i < CUTS; i++) {
        const { bytes } = await pull(port, { leaveAt: random(BLOB.length), slowly: i % 10 === 0 })
        expect(bytes.equals(BLOB.subarray(0, bytes.length))).toBe(true)
      }
      await until(() => open === 0, { deadlineMs: 5_000, what: 'the end of the registry connections' })
      await expectNoBufferInUse(upstream)
    },
  )

  it('longer than announced is cut or ends at its length, and the rest is not forwarded', async () => {
    const length = 3 * MIB
    const { port, upstream } = await frontFor((socket) => {
      socket.write(Buffer.concat([Buffer.from(headFor(length)), BLOB.subarray(0, length + 100)]))
    })
    for (let i = 0; i < repetitions({ usual: 4, stress: 10 }); i++) {
      const { bytes } = await pull(port)
      expect(bytes.length).toBeLessThanOrEqual(length)
      expect(bytes.equals(BLOB.subarray(0, bytes.length))).toBe(true)
    }
    await expectNoBufferInUse(upstream)
  })

  it(
    `is never refused without a buffer: ${PULLS} at once with memory for a few`,
    { timeout: 180_000 },
    async () => {
      const answer = (socket: Socket) =>
        socket.write(Buffer.concat([Buffer.from(headFor(BLOB.length)), BLOB]))
      const { port, upstream } = await frontFor(answer, 1 * MIB)
      let highest = 0
      const timer = setInterval(() => (highest = Math.max(highest, upstream.spliceBytesInUse)), 1)
      const pulls = await Promise.all(
        Array.from({ length: PULLS }, (_, i) => pull(port, { slowly: i % 2 === 0 })),
      )
      clearInterval(timer)
      expect(new Set(pulls.map(({ bytes }) => digestOf(bytes)))).toEqual(new Set([digestOf(BLOB)]))
      expect(highest).toBeGreaterThan(0)
      expect(highest).toBeLessThanOrEqual(MIB / 2)
      await expectNoBufferInUse(upstream)
    },
  )

  it.each([
    ['a HEAD', 'HEAD', headFor(BLOB.length)],
    ['a 404', 'GET', `HTTP/1.1 404 Not Found\r\nContent-Length: ${2 * MIB}\r\n\r\n`],
    ['a chunked one', 'GET', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('is piped if it is %s', async (_what, method, head) => {
    const body = head.includes('chunked')
      ? Buffer.concat([Buffer.from('200000\r\n'), BLOB.subarray(0, 2 * MIB), Buffer.from('\r\n0\r\n\r\n')])
      : method === 'HEAD'
        ? Buffer.alloc(0)
        : BLOB.subarray(0, 2 * MIB)
    const { port, upstream } = await frontFor((socket) =>
      socket.write(Buffer.concat([Buffer.from(head), body])),
    )
    const request = http.request({ port, path: '/v2/x', method, agent: false })
    request.end()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(upstream.spliceBytesInUse).toBe(0)
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).length).toBe(method === 'HEAD' ? 0 : 2 * MIB)
  })
})
