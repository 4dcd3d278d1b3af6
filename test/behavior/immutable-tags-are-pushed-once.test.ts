import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { repetitions } from '../fixtures/repetitions.ts'
import { startSidecar, type TestResponse, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const RULES = `rules:
  - {who: builder, repositories: ["**"], allow: [pull, push, delete]}
immutable:
  - {repositories: ["team/**"], tags: ["v*"]}
`
const PUSHES = repetitions({ usual: 100, stress: 1_000 })
const INDEX = 'application/vnd.oci.image.index.v1+json'
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'

/** An index needs no blobs, so a test can push it alone. */
function indexOf(text: string, children: readonly string[] = []): string {
  const manifests = children.map((child) => ({
    mediaType: INDEX,
    digest: digestOf(child),
    size: child.length,
    platform: { architecture: 'amd64', os: 'linux' },
  }))
  return JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests, annotations: { text } })
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

describe.skipIf(registryProgram === undefined)('an immutable tag', () => {
  let registry: Registry
  let sidecar: TestSidecar
  let folder: string
  let repositories = 0

  beforeAll(async () => {
    registry = await startRegistry()
    folder = makeTempFolder()
    const rulesFile = path.join(folder, 'access.yaml')
    writeFileSync(rulesFile, RULES)
    sidecar = await startSidecar({
      upstreamPort: registry.port,
      users: usersFileOf(['builder']),
      env: { SIDECAR_ACCESS: rulesFile },
    })
  })
  afterAll(async () => {
    await sidecar.stop()
    await registry.stop()
    removeFolder(folder)
  })

  const newRepository = () => `team/app${repositories++}`

  function ask(method: string, target: string, body?: string, type = INDEX): Promise<TestResponse> {
    const headers = body === undefined ? { accept: `${INDEX}, ${DOCKER_LIST}` } : { 'content-type': type }
    return sidecar.request({
      as: loginOf('builder'),
      method,
      path: target,
      headers,
      ...(body === undefined ? {} : { body }),
    })
  }

  const put = (repository: string, reference: string, body: string, type?: string) =>
    ask('PUT', `/v2/${repository}/manifests/${reference}`, body, type)
  const contentOf = async (repository: string, reference: string) =>
    (await ask('GET', `/v2/${repository}/manifests/${reference}`)).body.toString()

  function messageOf({ status, body }: TestResponse): unknown {
    return [status, (JSON.parse(body.toString()) as { errors: unknown[] }).errors[0]]
  }

  function denied(message: string): unknown {
    return [403, { code: 'DENIED', message, detail: null }]
  }

  it('is pushed once, may be pushed again with the same content, and not with another', async () => {
    const repository = newRepository()
    const [one, two] = [indexOf('one'), indexOf('two')]
    const first = await put(repository, 'v1.2', one)
    expect(first).toMatchObject({ status: 201, headers: { 'docker-content-digest': digestOf(one) } })
    expect(first.headers.location).toMatch(/^https:\/\/127\.0\.0\.1/)
    expect((await put(repository, 'v1.2', one)).status).toBe(201)
    expect(messageOf(await put(repository, 'v1.2', two))).toEqual(denied('tag v1.2 is immutable'))
    expect(await contentOf(repository, 'v1.2')).toBe(one)
  })

  it('leaves other tags, other repositories and fallback tags alone', async () => {
    const repository = newRepository()
    const fallback = `sha256-${'a'.repeat(64)}`
    for (const [where, tag] of [
      [repository, 'latest'],
      [repository, fallback],
      ['free/app', 'v1'],
    ] as const) {
      for (const text of ['one', 'two']) expect((await put(where, tag, indexOf(text))).status).toBe(201)
      expect(await contentOf(where, tag)).toBe(indexOf('two'))
    }
  })

  it('is not set by a push by digest with ?tag=', async () => {
    const repository = newRepository()
    const [one, two] = [indexOf('one'), indexOf('two')]
    await put(repository, 'v1', one)
    expect((await put(repository, `${digestOf(two)}?tag=v1&tag=v2`, two)).status).toBe(201)
    expect(await contentOf(repository, 'v1')).toBe(one)
    expect((await ask('GET', `/v2/${repository}/manifests/v2`)).status).toBe(404)
  })

  it('is won by one of twenty pushes at once', async () => {
    const repository = newRepository()
    const texts = Array.from({ length: 20 }, (_, i) => indexOf(`content ${i}`))
    const answers = await Promise.all(texts.map((text) => put(repository, 'v1', text)))
    const won = texts.filter((_, i) => answers[i]?.status === 201)
    expect(won).toEqual([await contentOf(repository, 'v1')])
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(19)
  })

  it('may be pushed by several at once with the same content', async () => {
    const repository = newRepository()
    const answers = await Promise.all([1, 2, 3].map(() => put(repository, 'v1', indexOf('one'))))
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
  })

  it('of a manifest list that docker pushed is compared by the list’s own digest', async () => {
    const repository = newRepository()
    const list = JSON.stringify({ schemaVersion: 2, mediaType: DOCKER_LIST, manifests: [] })
    expect((await put(repository, 'v1', list, DOCKER_LIST)).status).toBe(201)
    expect((await put(repository, 'v1', list, DOCKER_LIST)).status).toBe(201)
    expect(messageOf(await put(repository, 'v1', indexOf('one')))).toEqual(denied('tag v1 is immutable'))
  })

  it('keeps its tag, its manifest, the manifests of its index, and all blobs from being deleted', async () => {
    const repository = newRepository()
    const [child, free] = [indexOf('child'), indexOf('free')]
    const parent = indexOf('parent', [child])
    await put(repository, digestOf(child), child)
    expect((await put(repository, 'v1', parent)).status).toBe(201)
    await put(repository, 'latest', free)
    const remove = async (what: string) => messageOf(await ask('DELETE', `/v2/${repository}/${what}`))
    expect(await remove('manifests/v1')).toEqual(denied('tag v1 is immutable'))
    for (const text of [parent, child]) {
      const message = 'tag v1 is immutable and needs this manifest'
      expect(await remove(`manifests/${digestOf(text)}`)).toEqual(denied(message))
    }
    expect(await remove(`blobs/${digestOf('layer')}`)).toEqual(
      denied(`${repository} has immutable tags; its blobs cannot be deleted`),
    )
    expect((await ask('DELETE', `/v2/${repository}/manifests/${digestOf(free)}`)).status).toBe(202)
    expect(await contentOf(repository, 'v1')).toBe(parent)
    expect(await contentOf(repository, digestOf(child))).toBe(child)
  })

  it('accepts a manifest of 4 MiB, and refuses a byte more before the registry gets it', async () => {
    const repository = newRepository()
    const size = 4 * 1024 * 1024
    // The registry reads it and says what is wrong with it.
    expect((await put(repository, 'v1', '{'.padEnd(size))).status).toBe(400)
    expect(messageOf(await put(repository, 'v1', '{'.padEnd(size + 1)))).toEqual([
      413,
      { code: 'UNSUPPORTED', message: 'a manifest can have at most 4 MiB', detail: null },
    ])
  })

  it('is pushed by a client that sends chunks and waits for 100 Continue', async () => {
    const repository = newRepository()
    const answer = await sidecar.request({
      as: loginOf('builder'),
      method: 'PUT',
      path: `/v2/${repository}/manifests/v1`,
      headers: { 'content-type': INDEX, 'transfer-encoding': 'chunked', expect: '100-continue' },
      body: indexOf('one'),
    })
    expect(answer.status).toBe(201)
    expect(await contentOf(repository, 'v1')).toBe(indexOf('one'))
  })

  it('makes many pushes at once wait for each other, and one wins', { timeout: 120_000 }, async () => {
    const repository = newRepository()
    const texts = Array.from({ length: PUSHES }, (_, i) => indexOf(`content ${i}`))
    const answers = await Promise.all(texts.map((text) => put(repository, 'v1', text)))
    const counts = new Map<number, number>()
    for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1)
    expect(counts.get(201)).toBe(1)
    expect((counts.get(403) ?? 0) + (counts.get(503) ?? 0)).toBe(PUSHES - 1)
  })
})
