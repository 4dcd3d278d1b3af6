import { describe, expect, it } from 'vitest'
import { scopeOf, type Scope } from '../../src/access/scope.ts'
import { RECOGNIZED, UNRECOGNIZED } from './scope-table.ts'

function described(scope: Scope): string {
  if (scope.kind !== 'repository') return scope.kind
  const { repository, anyOf, change, mount, target } = scope
  return [
    `${anyOf.join('|')} ${repository}`,
    ...(change === undefined ? [] : [`${change.kind} ${'tag' in change ? change.tag : change.digest}`]),
    ...(mount === undefined ? [] : [`from ${mount.from} or ${mount.targetWithout}`]),
    ...(target === undefined ? [] : [`as ${target}`]),
  ].join(', ')
}

describe('the scope of a request', () => {
  it('is tested in at least 150 forms', () => {
    const forms = new Set([...RECOGNIZED, ...UNRECOGNIZED].map(([method, target]) => `${method} ${target}`))
    expect(forms.size).toBe(RECOGNIZED.length + UNRECOGNIZED.length)
    expect(forms.size).toBeGreaterThanOrEqual(150)
  })

  it.each(RECOGNIZED)('of %s %s is %s', (method, target, need) => {
    expect(described(scopeOf(method, target))).toBe(need)
  })

  it.each(UNRECOGNIZED)('of %s %j is none', (method, target) => {
    expect(scopeOf(method, target).kind).toBe('unrecognized')
  })

  it('never repeats a method that a terminal would obey', () => {
    expect(scopeOf('\u001b[2J', '/v2/app/tags/list')).toEqual({
      kind: 'unrecognized',
      reason: 'the registry does not support this method at this address',
    })
  })

  it('is found as fast for names that would make regular expressions try every way', () => {
    const start = performance.now()
    for (const part of ['a', 'a-', 'a__', 'a.', 'a/', '-']) {
      const name = part.repeat(8_000 / part.length)
      for (const end of ['tags/list', 'blobs/sha256:', 'manifests/-']) scopeOf('GET', `/v2/${name}/${end}`)
      scopeOf('GET', `/v2/app/blobs/${name}:`)
      scopeOf('POST', `/v2/app/blobs/uploads/?mount=${name}&from=${name}`)
    }
    expect(performance.now() - start).toBeLessThan(500)
  })
})
