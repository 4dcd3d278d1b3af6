import { once } from 'node:events'
import type { RequestListener, ServerResponse } from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  createConnectionLimits,
  type ConnectionLimits,
} from '../../../src/http/connections/connection-limits.ts'
import { IDLE_PREFERENCE_MS } from '../../../src/http/connections/connection-table.ts'
import type { LimitAudit, LimitName } from '../../../src/http/limit-audit.ts'
import { connectionOf, openConnection } from '../../../src/http/connections/connection.ts'
import { noLimits, startListener } from '../../fixtures/listener.ts'
import { createAuthority } from '../../fixtures/own-certificate.ts'
import { until } from '../../fixtures/until.ts'

const authority = createAuthority()
const ca = authority.rootPem
const HEAD = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

interface Scene {
  readonly time: { now: number }
  readonly limits: ConnectionLimits
  readonly reached: readonly (readonly [LimitName, string])[]
  /** Answers that the server has not ended yet. */
  readonly held: ServerResponse[]
  readonly port: number
  shake(): Promise<TLSSocket>
  knock(): Promise<net.Socket>
}

interface Numbers {
  readonly maxConnections?: number
  readonly maxPerSource?: number
  readonly maxRequests?: number
  readonly handshakeTimeoutMs?: number
}

/** Starts a listener with these limits and its own clock. It holds back answers for paths that end in "held". */
async function scene({
  maxConnections = Infinity,
  maxPerSource = Infinity,
  maxRequests = Infinity,
  handshakeTimeoutMs = 60_000,
}: Numbers): Promise<Scene> {
  const time = { now: 0 }
  const reached: (readonly [LimitName, string])[] = []
  const audit: LimitAudit = { reached: (limit, who) => reached.push([limit, who]), close: () => undefined }
  const connections = createConnectionLimits({
    maxConnections,
    maxPerSource,
    maxRequests,
    audit,
    clock: () => time.now,
  })
  const held: ServerResponse[] = []
  const handler: RequestListener = connections.limitRequests((incoming, outgoing) => {
    if (incoming.url?.endsWith('held') === true) held.push(outgoing)
    else outgoing.end('ok')
  })
  const listener = await startListener({
    certificate: authority.issue(),
    handler,
    limits: { ...noLimits(), audit, connections, handshakeTimeoutMs },
  })
  const { port } = listener.address
  return {
    time,
    limits: connections,
    reached,
    held,
    port,
    shake: () => shake(port),
    knock: () => knock(port),
  }
}

async function shake(port: number): Promise<TLSSocket> {
  const socket = tls.connect({ port, ca, host: '127.0.0.1', servername: 'localhost' })
  onTestFinished(() => {
    socket.destroy()
  })
  await once(socket, 'secureConnect')
  socket.on('error', () => undefined)
  return socket
}

/** A connection that never begins its handshake. */
async function knock(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1' })
  onTestFinished(() => {
    socket.destroy()
  })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

async function ask(socket: TLSSocket, head = HEAD): Promise<string> {
  let text = ''
  const onData = (chunk: Buffer): void => {
    text += chunk.toString('latin1')
  }
  socket.on('data', onData)
  socket.write(head)
  await until(() => isWhole(text) || socket.closed, { deadlineMs: 3_000, what: 'an answer' })
  socket.off('data', onData)
  return text
}

function isWhole(answer: string): boolean {
  const length = Number(/\r\nContent-Length: (\d+)/i.exec(answer)?.[1])
  return answer.includes('\r\n\r\n') && answer.length >= answer.indexOf('\r\n\r\n') + 4 + length
}

const isClosed = (socket: net.Socket) =>
  until(() => socket.closed, { deadlineMs: 3_000, what: 'the connection is closed' })
const isOpen = ({ limits }: Scene, count: number) =>
  until(() => limits.table.size === count, { deadlineMs: 10_000, what: `${count} connections` })

/** Begins a verified user's request that lasts until `end` is called. */
async function transfer(at: Scene): Promise<{ readonly socket: TLSSocket; readonly end: () => void }> {
  const socket = await at.shake()
  const before = at.held.length
  socket.write(HEAD.replace('/ ', '/held '))
  await until(() => at.held.length > before, { deadlineMs: 3_000, what: 'the request' })
  const answer = at.held[before]
  if (answer?.socket == null) throw new Error('the connection of the request has closed')
  const connection = connectionOf(answer.socket)
  at.limits.table.begin(connection)
  socket.resume()
  return {
    socket,
    end: () => {
      answer.end('ok')
      at.limits.table.end(connection)
    },
  }
}

describe('connections over a limit', () => {
  it.each([
    ['in all', { maxConnections: 2 }, 'idle-connections'],
    ['of one source', { maxPerSource: 2 }, 'connections-per-source'],
  ] as const)('%s close the oldest one without a verified request', async (_, numbers, limit) => {
    const at = await scene(numbers)
    const [first, second] = [await at.shake(), await at.shake()]
    const third = await at.shake()
    await isClosed(first)
    expect(await ask(third)).toMatch(/^HTTP\/1\.1 200 /)
    expect([second.closed, at.limits.table.size]).toEqual([false, 2])
    expect(at.reached).toEqual([[limit, '127.0.0.1']])
  })

  it.each([
    ['in all', { maxConnections: 2 }, 'connections'],
    ['of one source', { maxPerSource: 2 }, 'connections-per-source'],
  ] as const)('%s are closed at once if all others are in use', async (_, numbers, limit) => {
    const at = await scene(numbers)
    const [first, second] = [await transfer(at), await transfer(at)]
    await isClosed((await at.knock()).resume())
    expect(at.reached).toEqual([[limit, '127.0.0.1']])
    expect([first.socket.closed, second.socket.closed, at.limits.table.size]).toEqual([false, false, 2])
    first.end()
    expect(await ask(await at.shake())).toMatch(/^HTTP\/1\.1 200 /)
    await isClosed(first.socket)
    expect(second.socket.closed).toBe(false)
  })

  it('count from the moment TCP accepts them, even without a handshake', async () => {
    const at = await scene({ maxPerSource: 2 })
    const silent = [(await at.knock()).resume(), (await at.knock()).resume()]
    await isOpen(at, 2)
    expect(await ask(await at.shake())).toMatch(/^HTTP\/1\.1 200 /)
    await until(() => silent.filter(({ closed }) => closed).length === 1, { deadlineMs: 3_000, what: 'one' })
  })

  it('free their places when the handshake timeout ends them', async () => {
    const at = await scene({ maxPerSource: 2, handshakeTimeoutMs: 500 })
    for (const gone of [2, 4]) {
      await at.knock()
      await at.knock()
      await until(() => at.reached.length >= gone, { deadlineMs: 10_000, what: `${gone} slow handshakes` })
      await isOpen(at, 0)
    }
    // No later connection found the places of earlier ones still taken.
    expect(at.reached.map(([limit]) => limit)).toEqual(Array(4).fill('handshake-time'))
  })

  it('never close one that is in use, and never lock out a new one, even in a flood', async () => {
    const at = await scene({ maxPerSource: 2 })
    const { socket } = await transfer(at)
    const flood = await Promise.all(Array.from({ length: 100 }, () => at.knock()))
    for (const silent of flood) silent.resume()
    await until(() => flood.filter(({ closed }) => closed).length === 99, {
      deadlineMs: 10_000,
      what: 'all but one are closed',
    })
    expect(at.reached).toHaveLength(99)
    expect(await ask(await at.shake())).toMatch(/^HTTP\/1\.1 200 /)
    expect([socket.closed, at.limits.table.size]).toEqual([false, 2])
  })

  it('cannot keep their places by refused requests', async () => {
    const at = await scene({ maxConnections: 1 })
    const squatter = await at.shake()
    at.time.now = IDLE_PREFERENCE_MS
    expect(await ask(squatter)).toMatch(/^HTTP\/1\.1 200 /)
    await ask(await at.shake())
    await isClosed(squatter)
  })

  it('get one place each if they arrive together', () => {
    const closed: string[] = []
    const audit = { reached: () => undefined, close: () => undefined }
    const numbers = { maxConnections: 2, maxPerSource: Infinity, maxRequests: Infinity }
    const limits = createConnectionLimits({ ...numbers, audit, clock: () => 0 })
    for (const name of ['first', 'second', 'third', 'fourth', 'fifth']) {
      const socket = new net.Socket()
      Object.defineProperty(socket, 'remoteAddress', { value: '192.0.2.1' })
      const destroy = socket.destroy.bind(socket)
      socket.destroy = () => {
        closed.push(name)
        return destroy()
      }
      const connection = openConnection(socket, { clientCas: { isReplaced: false }, isProxy: () => false })
      expect(connection !== undefined && limits.accept(connection)).toBe(true)
    }
    expect(closed).toEqual(['first', 'second', 'third'])
    expect(limits.table.size).toBe(2)
  })
})

it('a trusted proxy has no limit of its own, and shares none with its neighbors', () => {
  const reached: string[] = []
  const audit = { reached: (_limit: LimitName, who: string) => reached.push(who), close: () => undefined }
  const numbers = { maxConnections: Infinity, maxPerSource: 2, maxRequests: Infinity }
  const limits = createConnectionLimits({ ...numbers, audit, clock: () => 0 })
  const [proxy, neighbor] = ['2001:db8::1', '2001:db8::2']
  for (const address of [proxy, proxy, proxy, neighbor, neighbor, neighbor]) {
    const connection = openConnection(new net.Socket(), {
      clientCas: { isReplaced: false },
      isProxy: (candidate) => candidate === proxy,
      endpoints: { address, localAddress: '::1' },
    })
    expect(connection !== undefined && limits.accept(connection)).toBe(true)
  }
  expect([reached, limits.table.countOf(proxy)]).toEqual([['2001:db8::/64'], 3])
})

describe('the last request of a connection', () => {
  it('gets an answer that announces the end, and no request is lost', async () => {
    const at = await scene({ maxRequests: 3 })
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => {
      agent.destroy()
    })
    const connections = new Set<net.Socket>()
    const headers: (string | undefined)[] = []
    for (let i = 0; i < 10; i++) {
      const request = https.get({ agent, ca, host: '127.0.0.1', port: at.port, servername: 'localhost' })
      request.on('socket', (socket) => connections.add(socket))
      const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage]
      expect(response.statusCode).toBe(200)
      headers.push(response.headers.connection)
      response.resume()
      await once(response, 'end')
    }
    expect(headers.slice(0, 4)).toEqual(['keep-alive', 'keep-alive', 'close', 'keep-alive'])
    expect(connections.size).toBe(4)
    expect(at.reached.map(([limit]) => limit)).toEqual(Array(3).fill('requests-per-connection'))
  })
})
