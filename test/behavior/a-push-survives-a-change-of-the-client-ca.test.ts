import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createClientAuthority } from '../fixtures/client-authority.ts'
import { upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { sidecarForTest } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const ROUNDS = 10

it('continues on a new connection: the answer in flight announces the end of the old one', async () => {
  const [ours, other] = [createClientAuthority(), createClientAuthority()]
  const caFile = path.join(tempFolder(), 'client-ca.pem')
  writeFileSync(caFile, ours.cert)
  const upstream = await upstreamForTest((soFar, socket) => {
    const isPut = soFar.lastIndexOf('PUT ') > soFar.lastIndexOf('PATCH ')
    if (soFar.endsWith(isPut ? '\r\n\r\n' : '0123456789')) {
      socket.write('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n')
    }
  })
  const sidecar = await sidecarForTest({
    upstreamPort: upstream.port,
    env: { SIDECAR_TLS_CLIENT_CA: caFile, SIDECAR_TLS_CLIENT_AUTH: 'instead', SIDECAR_WATCH_POLL: 'off' },
  })
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => {
    agent.destroy()
  })
  const { port, root } = sidecar
  const place = { host: '127.0.0.1', port, ca: root.pem, agent, ...ours.issue({ subject: 'alice' }) }
  const send = (method: string, length: number) =>
    https.request({ ...place, path: '/v2/a/blobs/uploads/u', method, headers: { 'Content-Length': length } })
  const answerOf = async (request: ReturnType<typeof send>): Promise<IncomingMessage> => {
    const [answer] = (await once(request, 'response')) as [IncomingMessage]
    answer.resume()
    await once(answer, 'end')
    return answer
  }

  for (let round = 0; round < ROUNDS; round++) {
    const before = upstream.received.join('').length
    const patch = send('PATCH', 10)
    patch.write('01234')
    await until(() => upstream.received.join('').length > before, { deadlineMs: 5_000, what: 'the upload' })
    writeFileSync(caFile, round % 2 === 0 ? ours.cert + other.cert : ours.cert)
    await sidecar.reload()
    patch.end('56789')
    const patched = await answerOf(patch)
    expect(patched.headers.connection).toBe('close')
    const put = send('PUT', 0)
    put.end()
    expect((await answerOf(put)).statusCode).toBe(202)
  }
})
