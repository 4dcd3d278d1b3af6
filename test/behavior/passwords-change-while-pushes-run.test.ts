import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import https from 'node:https'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { run } from '../fixtures/process.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { registryProgram, startRegistry } from '../fixtures/registry.ts'
import { ALICE, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const NEW = 'alice:battery staple'
const BLOB = randomBytes(4 * 1024 * 1024)
const HALF = BLOB.length / 2
const DIGEST = `sha256:${createHash('sha256').update(BLOB).digest('hex')}`

describe.skipIf(registryProgram === undefined)('a push that runs while the password is changed', () => {
  it('succeeds; later requests need the new password', async () => {
    const registry = await startRegistry()
    onTestFinished(() => registry.stop())
    const sidecar = await sidecarForTest({ upstreamPort: registry.port })
    const begun = await sidecar.request({ as: ALICE, method: 'POST', path: '/v2/app/blobs/uploads/' })
    const patch = beginPatch(sidecar, pathOf(begun.headers.location))
    patch.request.write(BLOB.subarray(0, HALF))
    await until(() => patch.request.writableLength === 0, { deadlineMs: 20_000, what: 'half of it is sent' })

    await changePassword(sidecar)
    await untilChanged(sidecar)
    expect(await statusOf(sidecar, ALICE)).toBe(401)
    expect(await statusOf(sidecar, NEW)).toBe(200)

    patch.request.end(BLOB.subarray(HALF))
    const patched = await patch.response
    expect(patched.statusCode).toBe(202)
    const path = `${pathOf(patched.headers.location)}&digest=${DIGEST}`
    expect((await sidecar.request({ as: ALICE, method: 'PUT', path })).status).toBe(401)
    expect((await sidecar.request({ as: NEW, method: 'PUT', path })).status).toBe(201)
    const pulled = await sidecar.request({ as: NEW, path: `/v2/app/blobs/${DIGEST}` })
    expect(pulled.body.equals(BLOB)).toBe(true)
  })
})

describe('user passwd --keep-old', () => {
  it('accepts both passwords, also after a restart', async () => {
    const upstream = await upstreamForTest(answering(OK))
    const first = await sidecarForTest({ upstreamPort: upstream.port })
    await changePassword(first, '--keep-old', '10m')
    await untilChanged(first)
    expect(await statusOf(first, NEW)).toBe(200)
    expect(await statusOf(first, ALICE)).toBe(200)
    expect(inForce(first).at(-1)).toMatchObject({ added: [], removed: [], changed: ['alice'] })
    const users = readFileSync(first.usersFile, 'utf8')
    await first.stop()

    const second = await sidecarForTest({ upstreamPort: upstream.port, users })
    expect(await statusOf(second, NEW)).toBe(200)
    expect(await statusOf(second, ALICE)).toBe(200)
    expect(await statusOf(second, 'alice:neither')).toBe(401)
  })

  it('refuses the old one when its time is over, although the file is unchanged and the login was remembered', async () => {
    const setClock = clockByHand()
    const upstream = await upstreamForTest(answering(OK))
    const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
    const before = Date.now()
    await changePassword(sidecar, '--keep-old', '1h')
    await untilChanged(sidecar)
    const { mtimeMs } = statSync(sidecar.usersFile)
    const reloads = inForce(sidecar).length
    const end = Date.parse(/ until (\S+) /.exec(readFileSync(sidecar.usersFile, 'utf8'))?.[1] ?? '')
    expect(end - before).toBeGreaterThanOrEqual(3_600_000)

    setClock(end - 1)
    expect(await statusOf(sidecar, ALICE)).toBe(200)
    setClock(end)
    expect(await statusOf(sidecar, ALICE)).toBe(401)

    expect(await statusOf(sidecar, NEW)).toBe(200)
    expect(statSync(sidecar.usersFile).mtimeMs).toBe(mtimeMs)
    expect(inForce(sidecar)).toHaveLength(reloads)
  })
})

async function changePassword(sidecar: TestSidecar, ...options: readonly string[]): Promise<void> {
  const args = ['user', 'passwd', 'alice', '--cost', '4', '--users', sidecar.usersFile, ...options]
  const { code, stderr } = await run(args, { input: 'battery staple\n' })
  expect({ code, stderr }).toMatchObject({ code: 0 })
}

async function statusOf(sidecar: TestSidecar, as: string): Promise<number> {
  return (await sidecar.request({ as, path: '/v2/' })).status
}

// Does not repeat the login until it works, because the throttle counts failures.
async function untilChanged(sidecar: TestSidecar): Promise<void> {
  const isChanged = () => inForce(sidecar).length > 1
  await until(isChanged, { deadlineMs: 20_000, what: 'the new password is in force' })
}

/** Replaces the time of day in this process; it is the real one until the test sets another. */
function clockByHand(): (now: number) => void {
  const { now } = Date
  let set: number | undefined
  const spy = vi.spyOn(Date, 'now').mockImplementation(() => set ?? now())
  onTestFinished(() => {
    spy.mockRestore()
  })
  return (at) => {
    set = at
  }
}

function inForce({ lines }: TestSidecar): readonly Record<string, unknown>[] {
  return lines.filter(({ msg }) => msg === 'users in force')
}

function pathOf(location: string | undefined): string {
  const { pathname, search } = new URL(location ?? '', 'https://x')
  return pathname + search
}

function beginPatch(
  sidecar: TestSidecar,
  path: string,
): { readonly request: ClientRequest; readonly response: Promise<IncomingMessage> } {
  const request = https.request({
    auth: ALICE,
    host: '127.0.0.1',
    port: sidecar.port,
    ca: sidecar.root.pem,
    agent: false,
    method: 'PATCH',
    path,
    headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': BLOB.length },
  })
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('error', reject)
    request.once('response', (answer) => {
      answer.resume()
      resolve(answer)
    })
  })
  return { request, response }
}
