// A unix socket that is missing or forbidden is a 502 with its reason, until it works.

import { chmodSync, existsSync, linkSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { SocketAddress } from '../../src/upstream/connect/registry-address.ts'
import { createUpstream } from '../../src/upstream/upstream.ts'
import { frontBefore } from '../fixtures/front.ts'
import { asNobody, giveToNobody } from '../fixtures/nobody.ts'
import { run } from '../fixtures/process.ts'
import {
  answering,
  OK,
  socketUpstreamForTest,
  type ProgrammableUpstream,
} from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const PING = { as: ALICE, path: '/v2/' }
const IMMUTABLE = `rules:
  - {who: alice, repositories: ["**"], allow: [pull, push]}
immutable:
  - {repositories: ["**"], tags: ["v*"]}
`
const MISSING = /^ENOENT, the socket does not exist/

function socketPathForTest(): string {
  return path.join(tempFolder(), 'registry.sock')
}

function sidecarBefore(socketPath: string): Promise<TestSidecar> {
  return sidecarForTest({ env: { SIDECAR_UPSTREAM: `unix:${socketPath}` } })
}

function socketOf({ upstream }: ProgrammableUpstream): SocketAddress {
  return { socketPath: upstream.slice('unix:'.length) }
}

function lastReason(sidecar: TestSidecar): unknown {
  return sidecar.lines.filter(({ event }) => event === 'request').at(-1)?.['reason']
}

async function upstreamStateOf({ adminAddress }: TestSidecar): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${adminAddress?.port ?? 0}/readyz`)
  return ((await answer.json()) as { parts: { upstream: unknown } }).parts.upstream
}

describe('a missing socket', () => {
  it('is a 502 whose log line names the fix, until the registry starts', async () => {
    const socketPath = socketPathForTest()
    const sidecar = await sidecarBefore(socketPath)
    expect((await sidecar.request(PING)).status).toBe(502)
    expect(lastReason(sidecar)).toBe(
      'unreachable: ENOENT, the socket does not exist; start the registry with this socket, and share the folder of the socket with the sidecar',
    )
    expect(await upstreamStateOf(sidecar)).toEqual({
      ready: false,
      state: 'unreachable',
      reason: expect.stringMatching(MISSING) as string,
      hint: expect.stringContaining('start the registry') as string,
    })
    await socketUpstreamForTest(answering(OK), socketPath)
    expect((await sidecar.request(PING)).status).toBe(200)
    expect(await upstreamStateOf(sidecar)).toEqual({ ready: true, state: 'ok' })
  })

  it('is missing again after the registry has stopped, also for kept connections', async () => {
    const socketPath = socketPathForTest()
    const sidecar = await sidecarBefore(socketPath)
    for (let round = 0; round < 3; round++) {
      const registry = await socketUpstreamForTest(answering(OK), socketPath)
      expect((await sidecar.request(PING)).status).toBe(200)
      expect((await sidecar.request(PING)).status).toBe(200)
      expect(registry.received).toHaveLength(1)
      registry.stop()
      expect(existsSync(socketPath)).toBe(false)
      expect((await sidecar.request(PING)).status).toBe(502)
    }
  })

  it('is found by check, with the fix', async () => {
    const env = { SIDECAR_UPSTREAM: `unix:${socketPathForTest()}` }
    const { stdout } = await run(['check'], { env, cwd: tempFolder() })
    expect(stdout).toMatch(
      /^problem registry: unix:\/.*registry\.sock: ENOENT, the socket does not exist → start the registry with this socket/m,
    )
  })
})

describe('a socket', () => {
  it('gets the Host of the client', async () => {
    const registry = await socketUpstreamForTest(answering(OK))
    const env = { SIDECAR_UPSTREAM: registry.upstream, SIDECAR_HOSTS: 'proxy' }
    const sidecar = await sidecarForTest({ env })
    expect((await sidecar.request({ ...PING, headers: { Host: 'proxy:443' } })).status).toBe(200)
    expect(registry.received[0]).toMatch(/^GET \/v2\/ HTTP\/1\.1\r\n/)
    expect(registry.received[0]).toMatch(/^host: proxy:443\r$/im)
    expect(registry.received[0]).toMatch(/^x-forwarded-host: proxy:443\r$/im)
    expect(registry.received[0]).not.toMatch(/authorization/i)
  })

  it('is asked for an immutable tag, and gets the collected manifest', async () => {
    const registry = await socketUpstreamForTest((soFar, socket) => {
      if (soFar.startsWith('HEAD')) socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
      else if (soFar.endsWith('{}')) socket.end('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n')
    })
    const rules = path.join(tempFolder(), 'access.yaml')
    writeFileSync(rules, IMMUTABLE)
    const env = { SIDECAR_UPSTREAM: registry.upstream, SIDECAR_ACCESS: rules }
    const sidecar = await sidecarForTest({ env })
    const push = { as: ALICE, method: 'PUT', path: '/v2/app/manifests/v1', body: '{}' }
    expect((await sidecar.request(push)).status).toBe(201)
    expect(registry.received.map((text) => text.split(' HTTP')[0])).toEqual([
      'HEAD /v2/app/manifests/v1',
      'PUT /v2/app/manifests/v1',
    ])
  })

  it('is spliced to the client', async () => {
    const blob = randomBytes(32 * 1024 * 1024)
    const registry = await socketUpstreamForTest((_soFar, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${blob.length}\r\n\r\n`)
      socket.write(blob)
    })
    const { port, upstream } = await frontBefore(socketOf(registry), 64 * 1024 * 1024)
    const request = http.get({ port, path: '/v2/x', agent: false })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    await until(() => upstream.spliceBytesInUse > 0, { deadlineMs: 5_000, what: 'a splice buffer' })
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).equals(blob)).toBe(true)
  })

  it('that the sidecar may not write to is a 502 with the reason', async () => {
    const registry = await socketUpstreamForTest(answering(OK))
    const { socketPath } = socketOf(registry)
    giveToNobody(path.dirname(socketPath))
    chmodSync(socketPath, 0o555)
    const upstream = createUpstream({
      address: { socketPath },
      spliceMemory: 0,
      idleTimeoutMs: 10_000,
      responseTimeoutMs: 10_000,
    })
    const outcome = await asNobody(() => upstream.probe())
    upstream.close()
    expect(outcome).toEqual({
      kind: 'unreachable',
      reason: 'EACCES, no permission to connect',
      hint: "let the sidecar's user write to the registry's socket and enter its folder",
    })
  })

  it('that no process listens on is a 502', async () => {
    const socketPath = socketPathForTest()
    const sidecar = await sidecarBefore(socketPath)
    const registry = await socketUpstreamForTest(answering(OK), `${socketPath}.old`)
    // The link stays, as the socket of a killed registry does.
    linkSync(`${socketPath}.old`, socketPath)
    registry.stop()
    expect((await sidecar.request(PING)).status).toBe(502)
    expect(lastReason(sidecar)).toBe('unreachable: ECONNREFUSED')
  })
})
