import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import { connect, Socket, type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { expect, it, onTestFinished } from 'vitest'
import { handleConnections } from '../../../src/http/connections/accept.ts'
import { createClientCaGenerations } from '../../../src/http/connections/client-ca-change.ts'
import { checkTlsLeadsToTcp, type Connection } from '../../../src/http/connections/connection.ts'
import type { ConnectionLimits } from '../../../src/http/connections/connection-limits.ts'
import type { LimitAudit } from '../../../src/http/limit-audit.ts'
import { noLimits } from '../../fixtures/listener.ts'

interface Parts {
  readonly accept: ConnectionLimits['accept']
  readonly reached: LimitAudit['reached']
}

function handle(server: Server, { accept, reached }: Partial<Parts>): void {
  const { audit, connections, handshakeTimeoutMs } = noLimits()
  handleConnections(server, {
    limits: {
      audit: { ...audit, ...(reached === undefined ? {} : { reached }) },
      connections: { ...connections, ...(accept === undefined ? {} : { accept }) },
      handshakeTimeoutMs,
    },
    proxies: { isProxy: () => false, protocol: 'off' },
    clientCas: createClientCaGenerations(),
    requestedNames: { requested: () => undefined, refused: () => undefined },
  })
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

it('hides a refused connection from all of Node’s listeners, even from TLS', async () => {
  const server = createServer()
  let isOpen = false
  const seen: boolean[] = []
  server.on('connection', () => seen.push(isOpen))
  const accept = ({ tcp }: Connection): boolean => {
    if (!isOpen) tcp.destroy()
    return isOpen
  }
  handle(server, { accept })
  const port = await listen(server)
  const knock = async (): Promise<void> => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined).resume()
    await once(socket, 'connect')
    socket.end()
    await once(socket, 'close')
  }
  await knock()
  isOpen = true
  await knock()
  expect(seen).toEqual([true])
})

it('survives a connection that cannot be accepted, but leaves an address in use to its caller', async () => {
  const reached: string[] = []
  const [server, second] = [createServer(), createServer()]
  for (const each of [server, second]) {
    handle(each, { reached: (limit, who) => reached.push(`${limit} ${who}`) })
  }
  const port = await listen(server)
  server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }))
  expect(reached).toEqual(['file-descriptors EMFILE'])
  second.listen(port, '127.0.0.1')
  await expect(once(second, 'listening')).rejects.toMatchObject({ code: 'EADDRINUSE' })
  expect(reached).toHaveLength(1)
})

it('destroys a TLS socket that leads to no record, before HTTP sees it', async () => {
  const server = createServer()
  const seen: unknown[] = []
  server.on('secureConnection', (socket) => seen.push(socket))
  handle(server, {})
  const socket = new tls.TLSSocket(new Socket(), { isServer: true })
  server.emit('secureConnection', socket)
  await once(socket, 'close')
  expect(seen).toEqual([])
})

it('refuses to run on a Node whose TLS sockets do not lead to their TCP sockets', () => {
  checkTlsLeadsToTcp()
  const other = new Socket()
  onTestFinished(() => {
    other.destroy()
  })
  expect(() => {
    checkTlsLeadsToTcp(() => new tls.TLSSocket(other, { isServer: true }))
  }).toThrow('this version of Node hides the TCP socket of a TLS socket')
})
