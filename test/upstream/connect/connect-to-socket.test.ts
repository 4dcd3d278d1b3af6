// Tests connections to a unix socket whose queue is full.

import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createSplicingAgent } from '../../../src/upstream/splice/splice.ts'
import { probeRegistry } from '../../../src/upstream/probe/probe.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const AT_ONCE = 20

/** The queue has room for few connections, because this process accepts none while it connects. */
async function crowdedSocket(): Promise<string> {
  const socketPath = path.join(tempFolder(), 'registry.sock')
  const server = http.createServer((_request, response) => response.end('ok'))
  await new Promise<void>((resolve) => server.listen({ path: socketPath, backlog: 1 }, resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return socketPath
}

function outcomes(connect: () => Promise<string>): Promise<readonly string[]> {
  return Promise.all(Array.from({ length: AT_ONCE }, connect))
}

it('Node alone fails to connect if the queue is full', async () => {
  const socketPath = await crowdedSocket()
  const plain = (): Promise<string> =>
    new Promise((resolve) => {
      const socket = net.connect(socketPath)
      socket.once('connect', () => {
        socket.destroy()
        resolve('connected')
      })
      socket.once('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code ?? '')
      })
    })
  expect(await outcomes(plain)).toContain('EAGAIN')
})

it('forwarded requests wait until the queue has room', async () => {
  const socketPath = await crowdedSocket()
  const agent = createSplicingAgent({ keepAlive: true })
  onTestFinished(() => {
    agent.destroy()
  })
  const send = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const request = http.get({ socketPath, agent, path: '/v2/' }, (response) => {
        response.resume()
        resolve(String(response.statusCode))
      })
      request.once('error', reject)
    })
  expect(new Set(await outcomes(send))).toEqual(new Set(['200']))
})

it('probes wait until the queue has room', async () => {
  const socketPath = await crowdedSocket()
  const probe = async () => (await probeRegistry({ socketPath })).kind
  expect(new Set(await outcomes(probe))).toEqual(new Set(['answers']))
})
