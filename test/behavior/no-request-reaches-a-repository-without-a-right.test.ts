// Sends thousands of odd requests as a user with rights in `mine/**` alone, before a real registry.

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { writeFileSync } from 'node:fs'
import https from 'node:https'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { authorize, rightsOf } from '../../src/access/authorization.ts'
import { decodeDigest } from '../../src/http/pipeline/request-target.ts'
import { startLoggingRegistry, type LoggingRegistry } from '../access/logging-registry.ts'
import { rulesOf, user } from '../access/rules-of.ts'
import { accessScene, loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { registryProgram } from '../fixtures/registry.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const RULES = `rules:
  - {who: alice, repositories: ["mine", "mine/**"], allow: [pull, push, delete]}
immutable:
  - {repositories: ["mine/**"], tags: ["v*"]}
`
const SECRET = 'secret'
const DIGEST = `sha256:${createHash('sha256').update(SECRET).digest('hex')}`
const OTHER = 'other/secret'
const CASES = repetitions({ usual: 250, stress: 6_000 })
const SEED = Number(process.env['FUZZ_SEED'] ?? 1)

const segment = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('mine', 'mine', 'other', 'secret', 'app', 'v2', '_catalog') },
  { weight: 3, arbitrary: fc.constantFrom('manifests', 'blobs', 'uploads', 'tags', 'list', 'referrers') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '..',
      '.',
      '',
      '%2e%2e',
      '%2E',
      'mine%2F..',
      '%2f',
      'MINE',
      'Mine',
      'mine%00',
      'mine;x',
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom('mine:5000', 'localhost:5000', 'mine\\other', '~', '@', DIGEST) },
)
const plain = fc.constantFrom('mine', 'mine', 'mine', 'app', 'other')
const names = fc.oneof(
  { weight: 3, arbitrary: fc.array(plain, { minLength: 1, maxLength: 3 }) },
  { weight: 2, arbitrary: fc.array(segment, { maxLength: 4 }) },
)
const end = fc.constantFrom(
  '/tags/list',
  '/manifests/latest',
  '/manifests/v1',
  `/manifests/${DIGEST}`,
  `/manifests/${DIGEST.replace(':', '%3A')}`,
  `/blobs/${DIGEST}`,
  `/blobs/${DIGEST.replace(':', '%3a')}`,
  '/blobs/uploads/',
  '/blobs/uploads',
  '/blobs/uploads/1',
  `/referrers/${DIGEST}`,
  '/',
  '',
)
const key = fc.constantFrom(
  'mount',
  'from',
  '%6dount',
  'fro%6D',
  'From',
  'digest',
  'tag',
  'n',
  'last',
  '_method',
)
const value = fc.constantFrom(DIGEST, OTHER, 'other%2Fsecret', 'mine/app', 'v1', '', '%zz', 'DELETE')
const query = fc
  .array(fc.tuple(key, value, fc.constantFrom('&', '&', '&&', ';', '?')), { maxLength: 4 })
  .map((parts) => parts.map(([k, v, separator]) => `${k}=${v}${separator}`).join(''))
const request = fc.record({
  method: fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'POST', 'DELETE', 'TRACE', 'LINK'),
  target: fc
    .tuple(fc.constantFrom(...Array<string>(12).fill('/v2/'), '/v2//', '/V2/', '/v2/./'), names, end, query)
    .map(([start, parts, last, text]) => `${start}${parts.join('/')}${last}${text === '' ? '' : `?${text}`}`),
  headers: fc.constantFrom<Record<string, string>>(
    {},
    {},
    { 'x-http-method-override': 'DELETE' },
    { 'x-original-url': `/v2/${OTHER}/tags/list`, 'x-rewrite-url': `/v2/${OTHER}/tags/list` },
    { 'x-forwarded-user': 'root', 'x-forwarded-prefix': '/v2/other' },
    { range: 'bytes=0-9', 'content-range': '0-5' },
  ),
})
const mount = fc
  .tuple(
    fc.constantFrom('/v2/mine/app/blobs/uploads/', '/v2/mine/app/blobs/uploads/1'),
    fc.array(fc.tuple(key, value, fc.constantFrom('&', '&', '&&', ';', '?')), { minLength: 1, maxLength: 5 }),
  )
  .map(([start, parts]) => ({
    method: 'POST',
    target: `${start}?mount=${DIGEST}&${parts.map(([k, v, s]) => `${k}=${v}${s}`).join('')}from=${OTHER}`,
    headers: {},
  }))

describe.skipIf(registryProgram === undefined)(
  'a user with rights in mine/** alone',
  { timeout: 120_000 },
  () => {
    let registry: LoggingRegistry
    let sidecar: TestSidecar
    let folder: string
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })

    beforeAll(async () => {
      registry = await startLoggingRegistry()
      const begun = await registry.send({ method: 'POST', target: `/v2/${OTHER}/blobs/uploads/` })
      const { pathname, search } = new URL(String(begun.headers['location']))
      const put = { method: 'PUT', target: `${pathname}${search}&digest=${DIGEST}`, body: SECRET }
      expect((await registry.send(put)).status).toBe(201)
      folder = makeTempFolder()
      writeFileSync(path.join(folder, 'access.yaml'), RULES)
      sidecar = await startSidecar({
        upstreamPort: registry.port,
        users: usersFileOf(['alice']),
        env: { SIDECAR_ACCESS: path.join(folder, 'access.yaml'), SIDECAR_LOG_LEVEL: 'error' },
      })
    })
    afterAll(async () => {
      agent.destroy()
      await sidecar.stop()
      await registry.stop()
      removeFolder(folder)
    })

    async function statusOf(asked: Parameters<typeof sidecar.request>[0]): Promise<number> {
      const answer = await sidecar.request({ as: loginOf('alice'), agent, ...asked })
      expect(answer.body.toString()).not.toBe(SECRET)
      return answer.status
    }

    it('reaches no other repository, whatever the method, target and headers', async () => {
      let passed = 0
      const cases = fc.sample(request, { numRuns: CASES, seed: SEED })
      const statuses: number[] = []
      for (const [i, { method, target, headers }] of cases.entries()) {
        const named = { ...headers, 'user-agent': `odd-${i}` }
        statuses.push(await statusOf({ method, path: target, headers: named }))
      }
      await registry.readings()
      for (const [i, { method, target }] of cases.entries()) {
        const name = registry.readingOf(`odd-${i}`)?.name
        if (name === undefined) continue
        passed += 1
        expect({ method, target, name, status: statuses[i] }).toMatchObject({
          name: expect.stringMatching(/^mine(\/|$)/) as string,
          status: expect.not.toBeOneOf([401, 403]) as number,
        })
      }
      expect(passed).toBeGreaterThan(CASES / 20)
    })

    it('mounts no blob of another repository', async () => {
      const cases = fc.sample(mount, { numRuns: CASES / 3, seed: SEED })
      for (const { method, target } of cases) {
        expect({ target, status: await statusOf({ method, path: target }) }).not.toEqual({
          target,
          status: 201,
        })
      }
      const direct = `/v2/mine/app/blobs/uploads/?mount=${DIGEST}&from=${OTHER}`
      expect((await registry.send({ method: 'POST', target: direct })).status).toBe(201)
    })
  },
)

it('what passes reaches the registry with exactly the target that was decided', async () => {
  const [rules] = RULES.split('immutable:')
  const scene = await accessScene(['alice'], rules)
  const rights = rightsOf(rulesOf(rules ?? ''), user('alice'))
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })
  const expected: string[] = []
  for (const { method, target } of fc.sample(request, { numRuns: CASES / 3, seed: SEED + 1 })) {
    const { status } = await scene.sidecar.request({ as: loginOf('alice'), agent, method, path: target })
    if (status !== 200 || !target.startsWith('/v2')) continue
    const decided = authorize(rights, { subject: user('alice'), method, target: decodeDigest(target) })
    expect({ target, kind: decided.kind }).toEqual({ target, kind: 'allowed' })
    if (decided.kind === 'allowed') expected.push(`${method} ${decided.target}`)
  }
  agent.destroy()
  expect(scene.forwarded().toSorted()).toEqual(expected.toSorted())
  expect(expected.length).toBeGreaterThan(CASES / 60)
})
