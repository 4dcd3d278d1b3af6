import { createServer } from 'node:https'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { expect, it, onTestFinished } from 'vitest'
import { guardServer } from '../../../src/http/connections/connection-guard.ts'

it('keeps what is refused from everything else, the TLS layer included', async () => {
  const server = createServer()
  let isOpen = false
  const seen: boolean[] = []
  server.on('connection', () => seen.push(isOpen))
  const accept = (socket: Socket): boolean => {
    if (!isOpen) socket.destroy()
    return isOpen
  }
  guardServer(server, { accept, audit: { reached: () => undefined, close: () => undefined } })
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const knock = async (): Promise<void> => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
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

it('survives a connection that could not be accepted, and leaves an address that is taken to who binds', async () => {
  const reached: string[] = []
  const guard = {
    accept: () => true,
    audit: {
      reached: (limit: string, who: string) => reached.push(`${limit} ${who}`),
      close: () => undefined,
    },
  }
  const [server, second] = [createServer(), createServer()]
  for (const each of [server, second]) guardServer(each, guard)
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }))
  expect(reached).toEqual(['file-descriptors EMFILE'])
  second.listen((server.address() as AddressInfo).port, '127.0.0.1')
  await expect(once(second, 'listening')).rejects.toMatchObject({ code: 'EADDRINUSE' })
  expect(reached).toHaveLength(1)
})
