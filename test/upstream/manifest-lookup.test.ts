import { describe, expect, it } from 'vitest'
import { createManifestLookup, LookupError } from '../../src/upstream/manifest-lookup.ts'
import { upstreamForTest } from '../fixtures/programmable-upstream.ts'

const HEX = 'a'.repeat(64)

/** Answers by request line; anything else is 404. */
async function lookupBefore(answers: Readonly<Record<string, string>>) {
  const upstream = await upstreamForTest((soFar, socket) => {
    if (!soFar.endsWith('\r\n\r\n')) return
    const [line = ''] = soFar.split(' HTTP/1.1', 1)
    socket.end(answers[line] ?? 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
  })
  const lookup = createManifestLookup({ hostname: '127.0.0.1', port: upstream.port })
  return { lookup, upstream }
}

function json(value: unknown, ...headers: readonly string[]): string {
  const body = JSON.stringify(value)
  return ['HTTP/1.1 200 OK', ...headers, `Content-Length: ${body.length}`, '', body].join('\r\n')
}

describe('the digest of a tag', () => {
  it('is asked for with all types of manifests', async () => {
    const { lookup, upstream } = await lookupBefore({
      'HEAD /v2/a/b/manifests/v1': `HTTP/1.1 200 OK\r\nDocker-Content-Digest: sha256:${HEX}\r\nContent-Length: 5\r\n\r\n`,
    })
    expect(await lookup.digestOf('a/b', 'v1')).toBe(`sha256:${HEX}`)
    expect(upstream.received.join('')).toMatch(/accept: .*image\.index\.v1\+json.*manifest\.list\.v2\+json/i)
  })

  it('is undefined if there is no such tag', async () => {
    const { lookup } = await lookupBefore({})
    expect(await lookup.digestOf('a/b', 'v1')).toBeUndefined()
  })
})

describe('the tags of a repository', () => {
  it('come from all pages, whatever form the link has', async () => {
    const { lookup } = await lookupBefore({
      'GET /v2/a/tags/list?n=1000': json(
        { tags: ['1', '2'] },
        'Link: </v2/a/tags/list?n=1000&last=2>; rel="next"',
      ),
      'GET /v2/a/tags/list?n=1000&last=2': json(
        { tags: ['3'] },
        'Link: <http://registry.example/v2/a/tags/list?last=3>; rel=next',
      ),
      'GET /v2/a/tags/list?last=3': json({ tags: ['4'] }),
    })
    expect(await lookup.tagsOf('a')).toEqual(['1', '2', '3', '4'])
  })

  it.each([
    ['there is no such repository', {}],
    ['it has none', { 'GET /v2/a/tags/list?n=1000': json({ name: 'a', tags: null }) }],
  ])('are none if %s', async (_when, answers) => {
    const { lookup } = await lookupBefore(answers)
    expect(await lookup.tagsOf('a')).toEqual([])
  })

  it.each([
    [
      'its pages go round in a circle',
      json({ tags: ['1'] }, 'Link: </v2/a/tags/list?n=1000>; rel="next"'),
      'does not end',
    ],
    ['it answers no JSON', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno', 'other than JSON'],
    ['its answer breaks off', 'HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"tags":["1"]}', 'broke off'],
    ['it answers 500', 'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n', 'answered 500'],
  ])('are not known if %s', async (_when, answer, message) => {
    const { lookup } = await lookupBefore({ 'GET /v2/a/tags/list?n=1000': answer })
    const error: unknown = await lookup.tagsOf('a').catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(LookupError)
    expect((error as LookupError).failure).toMatchObject({
      kind: 'broke-off',
      cause: expect.stringContaining(message) as string,
    })
  })
})

it('the children of an index are the digests that it lists, and an image has none', async () => {
  const { lookup } = await lookupBefore({
    [`GET /v2/a/manifests/sha256:${HEX}`]: json({
      manifests: [{ digest: 'sha256:1' }, { digest: 'sha256:2' }],
    }),
    'GET /v2/a/manifests/sha256:image': json({ layers: [{ digest: 'sha256:3' }] }),
  })
  expect(await lookup.childrenOf('a', `sha256:${HEX}`)).toEqual(['sha256:1', 'sha256:2'])
  expect(await lookup.childrenOf('a', 'sha256:image')).toEqual([])
  expect(await lookup.childrenOf('a', 'sha256:none')).toEqual([])
})
