// Runs the real command.

import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { runHere } from '../../fixtures/command.ts'
import { answering, upstreamForTest } from '../../fixtures/programmable-upstream.ts'
import { until } from '../../fixtures/until.ts'
import {
  BLOB,
  BLOB_PATH,
  canSearch,
  clientOf,
  isRegistryGone,
  isUsualTaken,
  newcomer,
  push,
  stop,
} from './newcomer.ts'

describe('quickstart', () => {
  it.skipIf(!canSearch)(
    'runs a registry of the PATH, and finds all data again at the next start',
    async () => {
      const { folder, install, quickstart } = newcomer()
      install('docker-registry')
      const first = quickstart({ REGISTRY_HTTP_ADDR: '127.0.0.1:1' })
      const client = await clientOf(first)
      await push(client)
      await stop(first)
      expect(first.stdout()).toContain('added admin to users/htpasswd')
      expect(await isRegistryGone(folder)).toBe(true)
      const secret = readFileSync(path.join(folder, 'registry-data/http-secret'), 'utf8')

      const second = quickstart()
      const again = await clientOf(second, client.password)
      expect((await again.send('GET', BLOB_PATH)).body.equals(BLOB)).toBe(true)
      await stop(second)
      expect(second.stdout()).toContain('The users in users/htpasswd are unchanged')
      expect(second.stdout()).toContain('password is lost: node dist/main.js user passwd admin --generate\n')
      expect(second.stdout()).not.toContain('password: ')
      expect(readFileSync(path.join(folder, 'registry-data/registry.yml'), 'utf8')).toContain(secret)
    },
  )

  it('gives its addresses to other commands in its folder', async () => {
    const upstream = await upstreamForTest(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
    const { folder, quickstart } = newcomer()
    const running = quickstart({
      SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
      SIDECAR_ADMIN_LISTEN: '127.0.0.1:0',
    })
    const login = await running.line(/docker login localhost/)
    const { stdout } = await runHere(['check'], { cwd: folder })
    expect(stdout).toMatch(new RegExp(`^ok +registry: http://127\\.0\\.0\\.1:${upstream.port} answers$`, 'm'))
    const trusted = await runHere(['trust'], { cwd: folder })
    expect(trusted).toMatchObject({ code: 0 })
    expect(trusted.stdout).toContain(/localhost:\d+/.exec(login)?.[0])
    const isReady = async () => (await runHere(['healthcheck'], { cwd: folder })).code === 0
    await until(isReady, { deadlineMs: 5_000, what: '0' })
    await stop(running)
    expect((await runHere(['check'], { cwd: folder })).stdout).toContain('http://127.0.0.1:5000')
  })
})

describe('quickstart ends', () => {
  it.each(['SIDECAR_LISTEN', 'SIDECAR_ADMIN_LISTEN'])(
    'with no user created when the port of %s is taken',
    async (variable) => {
      const upstream = await upstreamForTest(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
      const { folder, quickstart } = newcomer()
      const { code, stdout, stderr } = await quickstart({
        SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}`,
        [variable]: `127.0.0.1:${upstream.port}`,
      }).finished
      expect(code).toBe(1)
      expect(stderr).toContain(variable)
      expect(stdout).not.toContain('password')
      expect(existsSync(path.join(folder, 'users'))).toBe(false)
    },
  )

  it.skipIf(isUsualTaken)('with the ways to get a registry when it finds none', async () => {
    const { folder, quickstart } = newcomer()
    const { code, stderr } = await quickstart().finished
    expect(code).toBe(1)
    for (const way of ['SIDECAR_UPSTREAM', 'Docker', 'on the PATH', 'apt-get install'])
      expect(stderr).toContain(way)
    expect(existsSync(path.join(folder, 'users'))).toBe(false)
  })

  it('with 64 for wrong settings, before anything is started', async () => {
    const { folder, quickstart } = newcomer()
    const { code, stderr } = await quickstart({ SIDECAR_LISTEN: 'nowhere', SIDECAR_UPSTREEM: 'x' }).finished
    expect(code).toBe(64)
    expect(stderr).toMatch(/SIDECAR_UPSTREEM[^]*SIDECAR_LISTEN/)
    expect(existsSync(path.join(folder, 'registry-data'))).toBe(false)
  })

  it.skipIf(!canSearch)('together with its registry, even if it is killed', async () => {
    const { folder, install, quickstart } = newcomer()
    install('registry')
    const running = quickstart()
    await running.line(/docker login/)
    await until(async () => !(await isRegistryGone(folder)), { deadlineMs: 5_000, what: 'the registry' })
    running.child.kill('SIGKILL')
    await until(() => isRegistryGone(folder), { deadlineMs: 5_000, what: 'the end of the registry' })
  })
})
