import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createImmutableTags, hasDigest, type TagLookup } from '../../src/access/immutable.ts'
import { rulesOf } from './rules-of.ts'

const RULES = rulesOf(`rules: []
immutable:
  - {repositories: ["team/**"], tags: ["v*"]}
`)

const digestOf = (text: string, algorithm = 'sha256'): string =>
  `${algorithm}:${createHash(algorithm).update(text).digest('hex')}`

/** A registry of tags that answers when it is let. */
function createFakeRegistry(tags: Readonly<Record<string, string>> = {}) {
  const digests = new Map(Object.entries(tags))
  const children = new Map<string, readonly string[]>()
  let lookups = 0
  const lookup: TagLookup = {
    digestOf: async (repository, tag) => {
      lookups += 1
      await Promise.resolve()
      return digests.get(`${repository}:${tag}`)
    },
    tagsOf: (repository) =>
      Promise.resolve(
        [...digests.keys()]
          .filter((key) => key.startsWith(`${repository}:`))
          .map((key) => key.split(':')[1] ?? ''),
      ),
    childrenOf: (_repository, digest) => Promise.resolve(children.get(digest) ?? []),
  }
  return {
    lookup,
    digests,
    children,
    get lookups() {
      return lookups
    },
    push: (repository: string, tag: string, text: string) => ({
      repository,
      tag,
      manifest: Buffer.from(text),
      send: () => {
        digests.set(`${repository}:${tag}`, digestOf(text))
        return Promise.resolve(201)
      },
    }),
  }
}

const V1 = { 'team/app:v1': digestOf('one') }
const REFUSED = { kind: 'refused', message: 'tag v1 is immutable' }
const SENT = { kind: 'sent', value: 201 }

describe('a push of an immutable tag', () => {
  it('is sent when there is no such tag', async () => {
    const registry = createFakeRegistry()
    const tags = createImmutableTags(registry.lookup)
    expect(await tags.put(registry.push('team/app', 'v1', 'one'))).toEqual(SENT)
  })

  it('is refused when the tag has other content, and sent when it has the same', async () => {
    const registry = createFakeRegistry(V1)
    const tags = createImmutableTags(registry.lookup)
    expect(await tags.put(registry.push('team/app', 'v1', 'two'))).toEqual(REFUSED)
    expect(registry.digests.get('team/app:v1')).toBe(digestOf('one'))
    expect(await tags.put(registry.push('team/app', 'v1', 'one'))).toEqual(SENT)
  })

  it('is won by one of two at once, and of twenty', async () => {
    const registry = createFakeRegistry()
    const tags = createImmutableTags(registry.lookup)
    const texts = Array.from({ length: 20 }, (_, i) => `content ${i}`)
    const outcomes = await Promise.all(texts.map((text) => tags.put(registry.push('team/app', 'v1', text))))
    expect(outcomes.filter(({ kind }) => kind === 'sent')).toHaveLength(1)
    expect(registry.digests.get('team/app:v1')).toBe(digestOf('content 0'))
  })

  it('is sent by both of two at once with the same content', async () => {
    const registry = createFakeRegistry()
    const tags = createImmutableTags(registry.lookup)
    const push = registry.push('team/app', 'v1', 'one')
    expect(await Promise.all([tags.put(push), tags.put(push)])).toEqual([SENT, SENT])
  })

  it('does not wait for another repository', async () => {
    const registry = createFakeRegistry()
    const tags = createImmutableTags(registry.lookup)
    const stuck = {
      ...registry.push('team/a', 'v1', 'one'),
      send: () => new Promise<number>(() => undefined),
    }
    void tags.put(stuck)
    expect(await tags.put(registry.push('team/b', 'v1', 'one'))).toEqual(SENT)
  })

  it('is not sent when the registry does not say, and lets the next one have its turn', async () => {
    const registry = createFakeRegistry()
    let isDown = true
    const lookup = {
      ...registry.lookup,
      digestOf: (repository: string, tag: string) =>
        isDown ? Promise.reject(new Error('unreachable')) : registry.lookup.digestOf(repository, tag),
    }
    const tags = createImmutableTags(lookup)
    await expect(tags.put(registry.push('team/app', 'v1', 'one'))).rejects.toThrow('unreachable')
    expect(registry.digests.size).toBe(0)
    isDown = false
    expect(await tags.put(registry.push('team/app', 'v1', 'one'))).toEqual(SENT)
  })

  it('that fails leaves the turn to the next one, who wins', async () => {
    const registry = createFakeRegistry()
    const tags = createImmutableTags(registry.lookup)
    const broken = {
      ...registry.push('team/app', 'v1', 'one'),
      send: () => Promise.reject(new Error('broke off')),
    }
    const [first, second] = await Promise.allSettled([
      tags.put(broken),
      tags.put(registry.push('team/app', 'v1', 'two')),
    ])
    expect(first.status).toBe('rejected')
    expect(second).toMatchObject({ value: SENT })
  })
})

describe('a deletion', () => {
  const send = (): Promise<number> => Promise.resolve(201)

  it.each([
    ['the immutable tag', { kind: 'delete-tag', tag: 'v1' }, 'tag v1 is immutable'],
    [
      'its manifest',
      { kind: 'delete-manifest', digest: digestOf('one') },
      'tag v1 is immutable and needs this manifest',
    ],
    [
      'a manifest of its index',
      { kind: 'delete-manifest', digest: digestOf('child') },
      'tag v1 is immutable and needs this manifest',
    ],
    [
      'a blob',
      { kind: 'delete-blob', digest: digestOf('layer') },
      'team/app has immutable tags; its blobs cannot be deleted',
    ],
  ] as const)('of %s is refused', async (_what, change, message) => {
    const registry = createFakeRegistry(V1)
    registry.children.set(digestOf('one'), [digestOf('child')])
    const tags = createImmutableTags(registry.lookup)
    expect(await tags.remove(RULES, { repository: 'team/app', change, send })).toEqual({
      kind: 'refused',
      message,
    })
  })

  it.each([
    ['another tag', 'team/app', { kind: 'delete-tag', tag: 'latest' }],
    ['the manifest of another tag', 'team/app', { kind: 'delete-manifest', digest: digestOf('two') }],
    ['a manifest without a tag', 'team/app', { kind: 'delete-manifest', digest: digestOf('three') }],
    ['a tag in another repository', 'other/app', { kind: 'delete-tag', tag: 'v1' }],
    ['a manifest in another repository', 'other/app', { kind: 'delete-manifest', digest: digestOf('one') }],
    ['a blob in another repository', 'other/app', { kind: 'delete-blob', digest: digestOf('one') }],
  ] as const)('of %s is sent', async (_what, repository, change) => {
    const registry = createFakeRegistry({ ...V1, 'team/app:latest': digestOf('two') })
    const tags = createImmutableTags(registry.lookup)
    expect(await tags.remove(RULES, { repository, change, send })).toEqual(SENT)
  })

  it('asks the registry nothing in a repository without immutable tags', async () => {
    const registry = createFakeRegistry(V1)
    const tags = createImmutableTags(registry.lookup)
    await tags.remove(RULES, {
      repository: 'other/app',
      change: { kind: 'delete-manifest', digest: digestOf('one') },
      send,
    })
    expect(registry.lookups).toBe(0)
  })

  it('of a manifest waits for a push of an immutable tag that will point to it', async () => {
    const registry = createFakeRegistry()
    const tags = createImmutableTags(registry.lookup)
    const pushed = tags.put(registry.push('team/app', 'v1', 'one'))
    const change = { kind: 'delete-manifest', digest: digestOf('one') } as const
    const removed = tags.remove(RULES, { repository: 'team/app', change, send })
    expect(await pushed).toEqual(SENT)
    expect(await removed).toMatchObject({ kind: 'refused' })
  })
})

describe('a digest', () => {
  it('is compared by its own algorithm, and by no other', () => {
    const bytes = Buffer.from('one')
    for (const algorithm of ['sha256', 'sha384', 'sha512']) {
      expect(hasDigest(bytes, digestOf('one', algorithm))).toBe(true)
      expect(hasDigest(bytes, digestOf('two', algorithm))).toBe(false)
    }
    for (const digest of [
      '',
      'sha256',
      'sha256:',
      `md5:${createHash('md5').update('one').digest('hex')}`,
      'x:y',
    ]) {
      expect(hasDigest(bytes, digest)).toBe(false)
    }
  })
})
