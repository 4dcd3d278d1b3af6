import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import { createLiveStatus } from '../../../src/http/status/live-status.ts'
import { recordedLog } from '../../fixtures/recorded-log.ts'

beforeEach(() => {
  // The test controls the timers of the live status, but not those of Node's sockets.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** Returns the response of a client that reads nothing. The buffers between both are full, but the response has room. */
async function stalledResponse(): Promise<ServerResponse> {
  const server = createServer()
  const requested = once(server, 'request')
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1').pause()
  onTestFinished(() => {
    client.destroy()
    server.closeAllConnections()
    server.close()
  })
  client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const [, outgoing] = (await requested) as [unknown, ServerResponse]
  const [{ socket }, padding] = [outgoing, Buffer.alloc(4_096)]
  if (socket === null) throw new Error('the client has left')
  const isFull = () => socket.writableLength > 0
  while (!isFull()) {
    socket.write(padding)
    for (let turns = 0; turns < 20 && isFull(); turns += 1) await turn()
  }
  return outgoing
}

it('writes nothing to a viewer that does not read its last events, and closes its connection', async () => {
  const outgoing = await stalledResponse()
  const errors: unknown[] = []
  let count = 0
  const sections = () => Promise.resolve(new Map([['users' as const, { load: String((count += 1)) }]]))
  const live = createLiveStatus({ source: { sections }, clock: () => 0, log: recordedLog().log })
  live.watch({ audience: 'users', user: 'alice', outgoing, mayWatch: () => true })
  outgoing.on('error', (error) => errors.push(error))
  await vi.advanceTimersByTimeAsync(1_500)

  live.close()
  await vi.advanceTimersByTimeAsync(2_000)
  expect(errors).toEqual([])
  expect(outgoing.destroyed).toBe(false)
  const closed = once(outgoing, 'close')
  await vi.advanceTimersByTimeAsync(3_100)
  await closed
  expect(errors).toEqual([])
})
