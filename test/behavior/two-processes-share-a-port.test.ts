import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { fingerprintServed } from '../fixtures/own-certificate.ts'
import { run, type Running } from '../fixtures/process.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { canReusePort } from '../fixtures/reuse-port.ts'
import { LOGIN, sharedPortForTest, type SharedPort } from '../fixtures/shared-port.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

// The kernel picks a process at random, so all go to one process in fewer than one of a million runs.
const CONNECTIONS = 24
const SOON_MS = 20_000

async function onEach<T>(ask: () => Promise<T>): Promise<ReadonlySet<T>> {
  return new Set(await Promise.all(Array.from({ length: CONNECTIONS }, ask)))
}

async function statusOf({ port, root }: SharedPort): Promise<number> {
  const where = { host: '127.0.0.1', servername: 'localhost', port, ca: root, auth: LOGIN, agent: false }
  const [answer] = (await once(https.get({ ...where, path: '/v2/' }), 'response')) as [IncomingMessage]
  answer.resume()
  return answer.statusCode ?? 0
}

async function startTwo(): Promise<{ shared: SharedPort; one: Running; other: Running }> {
  const upstream = await upstreamForTest(answering(OK))
  const shared = await sharedPortForTest({ upstreamPort: upstream.port })
  return { shared, one: await shared.startNext(), other: await shared.startNext() }
}

async function adminOf(sidecar: Running): Promise<string> {
  return (JSON.parse(await sidecar.line(/ready to serve/)) as { admin: string }).admin
}

if (canReusePort) {
  describe('two processes on one port', () => {
    it('both serve requests, and both refuse a removed user', async () => {
      const { shared, one, other } = await startTwo()
      expect(await onEach(() => statusOf(shared))).toEqual(new Set([200]))
      for (const sidecar of [one, other]) await sidecar.line(/"event":"request"/)
      expect(await run(['user', 'remove', 'alice'], { cwd: shared.folder })).toMatchObject({ code: 0 })
      const isRefused = async () =>
        [...(await onEach(() => statusOf(shared)))].every((status) => status === 401)
      await until(isRefused, { deadlineMs: SOON_MS, what: 'both refuse the user' })
    })

    it('both serve a renewed leaf', async () => {
      const { shared } = await startTwo()
      const served = () => onEach(() => fingerprintServed(shared.port, shared.root))
      const before = await served()
      expect(before.size).toBe(1)
      expect(await run(['cert', 'renew'], { cwd: shared.folder })).toMatchObject({ code: 0 })
      const isRenewed = async () => {
        const now = await served()
        return now.size === 1 && [...now].every((fingerprint) => !before.has(fingerprint))
      }
      await until(isRenewed, { deadlineMs: SOON_MS, what: 'both serve the new leaf' })
    })

    it('need an admin address each', async () => {
      const { shared, one } = await startTwo()
      const env = { SIDECAR_LISTEN: `127.0.0.1:${shared.port}`, SIDECAR_REUSE_PORT: 'true' }
      const taken = { ...env, SIDECAR_ADMIN_LISTEN: await adminOf(one) }
      const { code, stderr } = await run([], { cwd: shared.folder, env: taken })
      expect([code, stderr]).toEqual([1, expect.stringMatching(/each process needs its own admin address/)])
    })

    it('must both run with the setting', async () => {
      const shared = await sharedPortForTest({ upstreamPort: 1, env: { SIDECAR_REUSE_PORT: 'false' } })
      await shared.startNext()
      const env = {
        SIDECAR_LISTEN: `127.0.0.1:${shared.port}`,
        SIDECAR_ADMIN_LISTEN: 'off',
        SIDECAR_REUSE_PORT: 'true',
      }
      const { code, stderr } = await run([], { cwd: shared.folder, env })
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/uses this port alone; .*SIDECAR_REUSE_PORT=true/),
      ])
    })

    it('warn at start if the kernel would reset connections', async () => {
      const { one } = await startTwo()
      const isMigrating = readFileSync('/proc/sys/net/ipv4/tcp_migrate_req', 'utf8').trim() === '1'
      expect(one.stdout().includes('connections-not-migrated')).toBe(!isMigrating)
    })
  })
} else {
  it('two processes cannot share a port with this Node, and check says so', async () => {
    const { code, stdout } = await run(['check'], { cwd: tempFolder(), env: { SIDECAR_REUSE_PORT: 'true' } })
    expect(code).toBe(64)
    expect(stdout).toMatch(
      /^problem settings: SIDECAR_REUSE_PORT: (?:Node v\S+ cannot share a port|only Linux)/m,
    )
  })
}
