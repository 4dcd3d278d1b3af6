import { describe, expect, it } from 'vitest'
import { routeKindOf } from '../../../../src/http/pipeline/report/route-kind.ts'
import { DIGEST, RECOGNIZED } from '../../../access/scope-table.ts'

describe('the kind of a route', () => {
  it.each([
    ['/v2/', 'ping'],
    ['/v2', 'ping'],
    ['/v2/?ns=docker.io', 'ping'],
    ['/v2/_catalog?n=5', 'catalog'],
    ['/v2/team/app/manifests/latest', 'manifest'],
    [`/v2/team/app/manifests/${DIGEST}?ns=docker.io`, 'manifest'],
    [`/v2/team/app/blobs/${DIGEST}`, 'blob'],
    ['/v2/team/app/blobs/uploads/', 'upload'],
    ['/v2/team/app/blobs/uploads/?mount=x&from=lib/blobs/y', 'upload'],
    ['/v2/team/app/blobs/uploads/0d6a6d5a?_state=a/b', 'upload'],
    ['/v2/app/tags/list', 'tags'],
    [`/v2/app/referrers/${DIGEST}`, 'referrers'],
    // The word before the last segment decides, as in the registry.
    [`/v2/a/manifests/b/blobs/${DIGEST}`, 'blob'],
    ['/token?service=x', 'token'],
    ['/token', 'token'],
    ['/', 'page'],
    ['/-/', 'page'],
    ['/-/ca.crt', 'page'],
    ['/-/ca.crt?x=/v2/', 'page'],
    ['', 'other'],
    ['*', 'other'],
    ['/v1/manifests/x', 'other'],
    ['/v2/x', 'other'],
    ['/v2/constructor/x', 'other'],
    ['/v2/__proto__/x', 'other'],
    ['/tokens', 'other'],
    ['/v20/', 'other'],
    ['https://proxy/v2/app/manifests/latest', 'other'],
  ])('of %j is %s', (target, kind) => {
    expect(routeKindOf(target)).toBe(kind)
  })

  it('is known for each address of the registry API', () => {
    const others = RECOGNIZED.filter(([, target]) => routeKindOf(target) === 'other')
    expect(others).toEqual([])
  })
})
