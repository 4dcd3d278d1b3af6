import { once } from 'node:events'
import http, { type RequestListener, type ServerResponse } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { openConnection } from '../../../src/http/connections/connection.ts'
import { oneAtATime } from '../../../src/http/connections/request-turns.ts'
import { trackAnswers } from '../../../src/http/pipeline/track-answers.ts'
import { until } from '../../fixtures/until.ts'

const HEAD = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const SOON = { deadlineMs: 5_000 }

interface Scene {
  readonly socket: Socket
  /** Answers that have not been sent yet. */
  readonly open: ServerResponse[]
  /** Requests handled so far. */
  readonly handled: () => number
  readonly text: () => string
  answer(): void
}

async function scene(): Promise<Scene> {
  const open: ServerResponse[] = []
  let handled = 0
  const listener: RequestListener = (_, outgoing) => {
    handled += 1
    open.push(outgoing)
  }
  const track = trackAnswers({ report: () => undefined, transfers: { end: () => undefined } })
  const server = http.createServer(track(oneAtATime(listener)))
  server.on('connection', (tcp) =>
    openConnection(tcp, { clientCas: { isReplaced: false }, isProxy: () => false }),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  onTestFinished(() => {
    socket.destroy()
    server.close()
    server.closeAllConnections()
  })
  let text = ''
  socket.on('error', () => undefined).on('data', (chunk) => (text += chunk.toString()))
  const answer = (): void => {
    open.shift()?.end(`number ${handled}`)
  }
  return { socket, open, handled: () => handled, text: () => text, answer }
}

const isNext = ({ handled, open }: Scene, number: number) =>
  until(() => handled() === number && open.length === 1, { ...SOON, what: `request ${number}` })

it('serves any number of requests from a client that keeps two of them open', async () => {
  const at = await scene()
  at.socket.write(HEAD)
  for (let number = 1; number <= 100; number++) {
    await isNext(at, number)
    at.socket.write(HEAD)
    // The second has arrived before the first is answered.
    await until(() => at.open[0]?.socket?.bytesRead === HEAD.length * (number + 1), {
      ...SOON,
      what: 'the next request',
    })
    at.answer()
  }
  await until(() => at.text().endsWith('number 100'), { ...SOON, what: 'all answers' })
  expect(at.socket.closed).toBe(false)
})

it.each([
  ['at once', (socket: Socket) => socket.write(HEAD.repeat(40))],
  [
    'one by one',
    async (socket: Socket) => {
      socket.setNoDelay(true)
      for (let i = 0; i < 40; i++) await new Promise((resolve) => socket.write(HEAD, resolve))
    },
  ],
  [
    'with megabytes behind it',
    (socket: Socket) =>
      socket.write(
        HEAD.repeat(17) +
          HEAD.replace('\r\n\r\n', '\r\nContent-Length: 5000000\r\n\r\n') +
          'x'.repeat(5_000_000),
      ),
  ],
])('refuses the first request over the limit in its turn, sent %s', async (_, send) => {
  const at = await scene()
  await send(at.socket)
  for (let number = 1; number <= 17; number++) {
    await isNext(at, number)
    expect(at.text()).not.toContain(' 429 ')
    at.answer()
  }
  await until(() => at.socket.readableEnded, { ...SOON, what: 'the end of the connection' })
  expect(at.handled()).toBe(17)
  const statuses = at.text().match(/HTTP\/1\.1 \d+|number \d+/g)
  const served = Array.from({ length: 17 }, (_each, i) => ['HTTP/1.1 200', `number ${i + 1}`])
  expect(statuses).toEqual([...served.flat(), 'HTTP/1.1 429'])
  const refusal = at.text().slice(at.text().indexOf('HTTP/1.1 429'))
  expect(refusal).toContain('\r\nConnection: close\r\n')
  expect(refusal).toContain('"message":"too many pipelined requests: at most 16 may wait for an answer"')
})

it('cuts a connection that sends hundreds at once', async () => {
  const at = await scene()
  at.socket.write('GET / HTTP/1.1\r\nHost:\r\n\r\n'.repeat(400))
  await until(() => at.socket.closed, { ...SOON, what: 'the end of the connection' })
  expect([at.handled(), at.text()]).toEqual([1, ''])
})

it('refuses nothing after an answer that ends the connection', async () => {
  const at = await scene()
  at.socket.write(HEAD.repeat(40))
  await isNext(at, 1)
  at.open[0]!.shouldKeepAlive = false
  at.answer()
  await until(() => at.socket.readableEnded, { ...SOON, what: 'the end of the connection' })
  expect([at.handled(), at.text().match(/HTTP\/1\.1 \d+/g)]).toEqual([1, ['HTTP/1.1 200']])
})
