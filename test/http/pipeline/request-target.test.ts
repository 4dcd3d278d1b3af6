import { describe, expect, it } from 'vitest'
import { decodeDigest, targetObjection } from '../../../src/http/pipeline/request-target.ts'

const HEX = '0123456789abcdef'.repeat(4)

describe('the colon of a digest', () => {
  it.each([
    [`/v2/z/c/blobs/sha256%3A${HEX}`, `/v2/z/c/blobs/sha256:${HEX}`],
    [`/v2/z/manifests/sha256%3a${HEX}`, `/v2/z/manifests/sha256:${HEX}`],
    [`/v2/z/referrers/sha512%3A${HEX}?n=%3A`, `/v2/z/referrers/sha512:${HEX}?n=%3A`],
    [`/v2/z/blobs/sha256+b64u%3A${HEX}=`, `/v2/z/blobs/sha256+b64u:${HEX}=`],
  ])('is decoded: %s', (target, decoded) => {
    expect(decodeDigest(target)).toBe(decoded)
    expect(targetObjection(decoded)).toBeUndefined()
  })

  it.each([
    `/v2/z/blobs/sha256:${HEX}`,
    `/v2/z/blobs/uploads/?digest=sha256%3A${HEX}`,
    `/v2/z/blobs/uploads/1?x=/blobs/sha256%3A${HEX}`,
    '/v2/z/tags/list',
  ])('is left alone: %s', (target) => {
    expect(decodeDigest(target)).toBe(target)
    expect(targetObjection(target)).toBeUndefined()
  })

  it.each([
    ['encoded twice', `/v2/z/blobs/sha256%253A${HEX}`],
    ['twice in one digest', `/v2/z/blobs/sha256%3A%3A${HEX}`],
    ['in two segments', `/v2/z%3A1/blobs/sha256%3A${HEX}`],
    ['with another encoded character behind it', `/v2/z/blobs/sha256%3A${HEX}%2F`],
    ['with another encoded character before it', `/v2/z/blobs/%73ha256%3A${HEX}`],
    ['with a segment behind it', `/v2/z/blobs/sha256%3A${HEX}/x`],
    ['with a slash behind it', `/v2/z/blobs/sha256%3A${HEX}/`],
    ['without an algorithm', `/v2/z/blobs/%3A${HEX}`],
    ['with nothing behind it', '/v2/z/blobs/sha256%3A'],
    ['in a repository', `/v2/sha256%3A${HEX}/blobs/x`],
    ['in a tag list', `/v2/z/tags/sha256%3A${HEX}`],
    ['in an upload', `/v2/z/blobs/uploads/sha256%3A${HEX}`],
    ['in full width', `/v2/z/blobs/sha256%EF%BC%9A${HEX}`],
  ])('stays refused %s', (_, target) => {
    expect(targetObjection(decodeDigest(target))).toMatchObject({ status: 400 })
  })
})

describe('what is wrong with a path', () => {
  it.each([
    ['/v2//a', 'the path has an empty segment at byte 4 (a doubled slash)'],
    ['//v2/', 'the path has an empty segment at byte 1 (a doubled slash)'],
    ['/v2/a//', 'the path has an empty segment at byte 6 (a doubled slash)'],
    [
      '/v2/z/a%2Fb',
      'the path has percent-encoding at byte 7 (%2F); only the colon of a digest may be encoded',
    ],
    [
      '/v2/%0d%0a',
      'the path has percent-encoding at byte 4 (%0d); only the colon of a digest may be encoded',
    ],
    ['/v2/%', 'the path has the character "%" at byte 4, which no registry path has'],
    ['/v2/%zz//', 'the path has the character "%" at byte 4, which no registry path has'],
    ['/v2/../x', 'the path has a segment ".." at byte 4'],
    ['/v2/x/.', 'the path has a segment "." at byte 6'],
    ['/v2/http:/x', 'the path has a colon before a slash at byte 8'],
    ['/v2/a\\b', 'the path has the character "\\" at byte 5, which no registry path has'],
    ['/v2/a\x1b[2J', 'the path has the character 0x1b at byte 5, which no registry path has'],
    ['/v2/a\r\nX: y', 'the path has the character 0x0d at byte 5, which no registry path has'],
    ['/v2/\xe9', 'the path has the character 0xe9 at byte 4, which no registry path has'],
    ['/v2/a b', 'the path has the character 0x20 at byte 5, which no registry path has'],
    ['http://x/v2/', 'the request target does not begin with a slash'],
    ['', 'the request target does not begin with a slash'],
    [
      '/v2/a%2F?//',
      'the path has percent-encoding at byte 5 (%2F); only the colon of a digest may be encoded',
    ],
  ])('is said of %j', (target, message) => {
    expect(targetObjection(target)).toMatchObject({ status: 400, message })
  })

  it.each(['/', '/v2', '/v2/', '/v2/a..b/.c/d.', '/v2/a:b', '/v2/a/manifests/sha256+b64u:0='])(
    'is nothing for %s',
    (target) => {
      expect(targetObjection(target)).toBeUndefined()
    },
  )

  it('takes no longer for long paths than it takes to read them', () => {
    const path = `/v2${'/blobs/sha256%3A'.repeat(500)}/`
    const start = performance.now()
    for (let i = 0; i < 100; i++) targetObjection(decodeDigest(path))
    expect(performance.now() - start).toBeLessThan(1_000)
  })
})
