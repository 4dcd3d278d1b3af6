// The repository that we read out of a request is the one that the real registry reads.

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isRepositoryName } from '../../src/access/repository-name.ts'
import { scopeOf } from '../../src/access/scope.ts'
import { registryProgram } from '../fixtures/registry.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { startLoggingRegistry, type LoggingRegistry } from './logging-registry.ts'

const HEX = 'a'.repeat(64)
const WORDS = ['blobs', 'manifests', 'uploads', 'tags', 'list', 'referrers', 'v2']
const PLAIN = ['a', 'b', 'team', 'app', 'a.b', 'a__b', 'a--b', '0']
const REFERENCES = [
  'latest',
  'V1.0_rc-1',
  '_',
  '_a',
  't'.repeat(128),
  't'.repeat(129),
  `sha256:${HEX}`,
  `sha256-${HEX}`,
  `sha512:${HEX}${HEX}`,
  `SHA256:${HEX}`,
  `sha256:${HEX.toUpperCase()}`,
  `a+b.c:${HEX}`,
  `sha256:${'a'.repeat(31)}`,
  'sha256:x',
  'x==',
]

const fitting = fc.constantFrom(...WORDS, ...PLAIN)
const letters = fc.string({ unit: fc.constantFrom('a', '0', 'b', '.', '_', '-'), minLength: 1, maxLength: 6 })
const nearlyFitting = fc.oneof(
  { weight: 3, arbitrary: fitting },
  { weight: 2, arbitrary: letters },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'A',
      'Host:5000',
      'localhost:5000',
      'a:1',
      'a+b',
      'a=b',
      '',
      '_uploads',
      '_catalog',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('a'.repeat(120), `${'b-'.repeat(60)}b`, '0'.repeat(255), ...REFERENCES),
  },
)
const segments = fc.oneof(
  fc.array(fitting, { minLength: 1, maxLength: 5 }),
  fc.array(nearlyFitting, { maxLength: 5 }),
)
const end = fc.oneof(
  fc.constant('/tags/list'),
  fc.constantFrom(...REFERENCES).map((reference) => `/manifests/${reference}`),
  fc.constantFrom(...REFERENCES).map((reference) => `/blobs/${reference}`),
  fc.constant('/blobs/uploads/'),
  fc.constantFrom('x', 'a.b_c=d-e', 'uploads', ...REFERENCES).map((id) => `/blobs/uploads/${id}`),
  fc.constantFrom('', '/'),
)
// Dot segments never come this far: admit refuses them, and Node's client would send them as they are.
const target = fc
  .tuple(segments, end)
  .map(([name, last]) => `/v2/${name.join('/')}${last}`)
  .filter((text) => !/\/\.{1,2}(?:\/|$)/.test(text))
const method = fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'POST', 'DELETE')

const CASES = repetitions({ usual: 1_000, stress: 4_000 })

describe.skipIf(registryProgram === undefined)('the real registry', () => {
  let registry: LoggingRegistry

  beforeAll(async () => {
    registry = await startLoggingRegistry()
  })

  afterAll(async () => {
    await registry.stop()
  })

  it('reads the repository that we read, and the reference', async () => {
    const cases = fc.sample(fc.tuple(method, target), {
      numRuns: CASES,
      seed: Number(process.env['FUZZ_SEED'] ?? 1),
    })
    for (const [verb, path] of cases) await registry.send({ method: verb, target: path })
    const readings = await registry.readings()
    let agreed = 0
    for (const [i, [verb, path]] of cases.entries()) {
      const scope = scopeOf(verb, path)
      const reading = readings[i]
      if (scope.kind === 'repository' && reading !== undefined) {
        expect({ path, name: reading.name }).toEqual({ path, name: scope.repository })
        if (scope.change !== undefined && 'tag' in scope.change)
          expect(reading.reference).toBe(scope.change.tag)
        if (scope.change?.kind === 'delete-blob') expect(reading.digest).toBe(scope.change.digest)
        if (scope.change?.kind === 'delete-manifest') expect(reading.reference).toBe(scope.change.digest)
        agreed += 1
      }
      // The other way round: what it routes to a repository, we know too, unless it has no such method there.
      if (scope.kind !== 'repository' && verb === 'OPTIONS' && isRepositoryName(reading?.name ?? '')) {
        expect.fail(`the registry has ${path} of ${reading?.name ?? ''}`)
      }
    }
    expect(agreed).toBeGreaterThan(CASES / 10)
  })

  describe('with a blob in a repository that the client may not pull', () => {
    const blob = 'secret'
    const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`

    beforeAll(async () => {
      const begun = await registry.send({ method: 'POST', target: '/v2/secret/lib/blobs/uploads/' })
      const { pathname, search } = new URL(String(begun.headers['location']))
      const put = { method: 'PUT', target: `${pathname}${search}&digest=${digest}`, body: blob }
      expect((await registry.send(put)).status).toBe(201)
    })

    const key = fc.constantFrom(
      'mount',
      'from',
      '%6dount',
      'fro%6D',
      'from',
      'mount',
      'From',
      'from+',
      'x',
      '',
      '%66rom',
    )
    const encoded = digest.replace(':', '%3A')
    const value = fc.constantFrom(
      digest,
      encoded,
      'secret/lib',
      'secret%2Flib',
      'sec%72et/lib',
      'public',
      '',
      '+',
      '%00',
      '%',
      '%zz',
    )
    const parameter = fc.oneof(
      fc.tuple(key, value).map(([k, v]) => `${k}=${v}`),
      fc.constantFrom(`mount=${digest}`, 'from=secret/lib', 'from=public', 'mount', 'from', ''),
    )
    const query = fc
      .array(fc.tuple(parameter, fc.constantFrom('&', '&', '&', '&&', ';', '?')), { maxLength: 5 })
      .map((parts) => parts.map((part) => part.join('')).join(''))

    it('never mounts it when we take the mount off, and does when we leave it', async () => {
      const queries = fc.sample(query, { numRuns: CASES / 2, seed: Number(process.env['FUZZ_SEED'] ?? 2) })
      let mounted = 0
      for (const text of [`mount=${digest}&from=secret/lib`, ...queries]) {
        const asked = `/v2/thief/app/blobs/uploads/?${text}`
        const scope = scopeOf('POST', asked)
        if (scope.kind !== 'repository') continue
        const { mount } = scope
        if (mount?.from === 'secret/lib') {
          expect(await statusOf('POST', mount.targetWithout)).toBe(202)
          if ((await statusOf('POST', asked.replace('thief', 'friend'))) === 201) mounted += 1
        } else {
          expect({ asked, status: await statusOf('POST', scope.target ?? asked) }).toEqual({
            asked,
            status: 202,
          })
        }
      }
      expect(mounted).toBeGreaterThan(1)
    })

    it('mounts it on POST to an upload too, which is why that is refused', async () => {
      const begun = await registry.send({ method: 'POST', target: '/v2/thief/lib/blobs/uploads/' })
      const { pathname, search } = new URL(String(begun.headers['location']))
      const target = `${pathname}${search}&mount=${digest}&from=secret/lib`
      expect(scopeOf('POST', target).kind).toBe('unrecognized')
      expect(await statusOf('POST', target)).toBe(201)
    })

    async function statusOf(verb: string, path: string): Promise<number> {
      return (await registry.send({ method: verb, target: path })).status
    }
  })
})
