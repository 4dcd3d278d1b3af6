import { createHash, randomBytes } from 'node:crypto'
import https from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { hashSync } from 'bcryptjs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { registryProgram, startRegistry } from '../fixtures/registry.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const PULLS = repetitions({ usual: 8, stress: 50 })
const RELOADS = 20
const BLOB = randomBytes(16 * 1024 * 1024)
const DIGEST = `sha256:${createHash('sha256').update(BLOB).digest('hex')}`

describe.skipIf(registryProgram === undefined)('pulls in flight', () => {
  it(`keep every byte of ${PULLS} through ${RELOADS} reloads`, { timeout: 300_000 }, async () => {
    const registry = await startRegistry()
    onTestFinished(() => registry.stop())
    const sidecar = await sidecarForTest({ upstreamPort: registry.port })
    await push(sidecar)
    const pulls = Array.from({ length: PULLS }, () => slowPull(sidecar))
    const started = await Promise.all(pulls.map((pull) => pull.started))
    expect(started.every((status) => status === 200)).toBe(true)
    for (let round = 1; round <= RELOADS; round++) {
      sidecar.writeUsers(`${ALICE_ENTRY}bob${round}:${hashSync('x', 4)}\n`)
      await until(() => sidecar.users.table.entries.has(`bob${round}`), {
        deadlineMs: 20_000,
        what: 'the reload',
      })
    }
    for (const pull of pulls) pull.hurry()
    const digests = await Promise.all(pulls.map((pull) => pull.digest))
    expect(new Set(digests)).toEqual(new Set([DIGEST]))
    expect(digests).toHaveLength(PULLS)
  })
})

async function push(sidecar: TestSidecar): Promise<void> {
  const begun = await sidecar.request({ as: ALICE, method: 'POST', path: '/v2/app/blobs/uploads/' })
  const { pathname, search } = new URL(begun.headers.location ?? '', 'https://x')
  const path = `${pathname}${search}&digest=${DIGEST}`
  const done = await sidecar.request({ as: ALICE, method: 'PUT', path, body: BLOB })
  expect(done.status).toBe(201)
}

interface SlowPull {
  readonly started: Promise<number>
  readonly digest: Promise<string>
  /** Reads the rest without pauses. */
  hurry(): void
}

/** Reads a little at a time, so that the transfer stays in flight until the test ends it. */
function slowPull(sidecar: TestSidecar): SlowPull {
  const hash = createHash('sha256')
  const hurry = new AbortController()
  const request = https.get({
    auth: ALICE,
    host: '127.0.0.1',
    port: sidecar.port,
    ca: sidecar.root.pem,
    agent: false,
    path: `/v2/app/blobs/${DIGEST}`,
  })
  const response = new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    request.once('error', reject)
  })
  const digest = response.then(async (body) => {
    for await (const chunk of body) {
      hash.update(chunk as Buffer)
      if (!hurry.signal.aborted) await pause(100, undefined, { signal: hurry.signal }).catch(() => undefined)
    }
    return `sha256:${hash.digest('hex')}`
  })
  return {
    started: response.then(({ statusCode }) => statusCode ?? 0),
    digest,
    hurry: () => {
      hurry.abort()
    },
  }
}
