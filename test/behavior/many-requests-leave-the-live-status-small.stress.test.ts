import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import { expect, it, onTestFinished } from 'vitest'
import { residentMib } from '../bench/process-tree.ts'
import { serveAsProcess } from '../fixtures/serving-process.ts'
import { ALICE } from '../fixtures/sidecar.ts'
import { basic } from '../fixtures/wire.ts'

const REQUESTS = 100_000
const WARM_UP = 20_000
// The sidecar ends a connection after 10,000 requests.
const CONNECTIONS = 20
// A record of each request with its long names would take 80,000 times 2 KiB, which is 160 MiB.
const MOST_MIB = 60

it.runIf(process.platform === 'linux')(
  `${REQUESTS} requests for different images leave memory flat`,
  { timeout: 300_000 },
  async () => {
    const registry = http.createServer((_request, response) => response.end()).listen(0, '127.0.0.1')
    onTestFinished(() => {
      registry.close()
    })
    await once(registry, 'listening')
    const { port, ca, pid } = await serveAsProcess((registry.address() as AddressInfo).port)
    const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(port, ca)))
    let count = 0
    // Raw bytes, because Node's client would take most of the time.
    const pullUntil = (last: number) =>
      Promise.all(
        clients.map(async (client) => {
          while (count < last) await pull(client, ++count)
        }),
      )

    await pullUntil(WARM_UP)
    const before = residentMib(pid)
    await pullUntil(REQUESTS)
    expect(residentMib(pid) - before).toBeLessThan(MOST_MIB)
  },
)

async function connect(port: number, ca: Buffer): Promise<TLSSocket> {
  const client = tls.connect({ host: '127.0.0.1', servername: 'localhost', port, ca })
  onTestFinished(() => {
    client.destroy()
  })
  await once(client, 'secureConnect')
  return client
}

async function pull(client: TLSSocket, number: number): Promise<void> {
  client.write(
    `GET /v2/${'x'.repeat(60)}/${number}/manifests/${'t'.repeat(60)}${number} HTTP/1.1\r\nHost: localhost\r\n` +
      `${basic(ALICE)}\r\nUser-Agent: ${number} ${'a'.repeat(1_000)}\r\n\r\n`,
  )
  let answer = ''
  while (!answer.endsWith('\r\n\r\n')) {
    const [chunk] = (await once(client, 'data')) as [Buffer]
    answer += chunk.toString('latin1')
  }
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
}
