import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileGlob, repositoryPatternProblem, splitName, tagPatternProblem } from '../../src/access/glob.ts'

const matches = (pattern: string, name: string): boolean => compileGlob(pattern)(splitName(name))

const TABLE: readonly (readonly [pattern: string, matching: readonly string[], others: readonly string[]])[] =
  [
    ['team/app', ['team/app'], ['team/app2', 'team/ap', 'team', 'x/team/app', 'team/app/x']],
    ['team/*', ['team/app', 'team/a-b.c'], ['team', 'team/a/b', 'teams/app', 'x/team/app']],
    ['team/**', ['team/app', 'team/a/b', 'team/a/b/c'], ['team', 'teams/app', 'x/team/app', 'team-x']],
    ['**', ['a', 'a/b', 'a/b/c'], []],
    ['*', ['a', 'a-b'], ['a/b']],
    ['**/app', ['app', 'a/app', 'a/b/app'], ['a/app/b', 'myapp', 'a/myapp']],
    ['**/**/app', ['app', 'a/app', 'a/b/app'], ['a/app/b', 'myapp']],
    ['a/**/z', ['a/z', 'a/b/z', 'a/b/c/z'], ['a', 'z', 'az', 'a/bz', 'a/z/b', 'b/a/z']],
    ['a/**/**', ['a/b', 'a/b/c'], ['a', 'ab']],
    ['**/b/**', ['b/c', 'a/b/c', 'a/b/c/d', 'b/b'], ['b', 'a/b', 'a/c']],
    ['a*', ['a', 'ab', 'a-b'], ['ba', 'a/b']],
    ['*a', ['a', 'ba'], ['ab', 'b/a']],
    ['a*b*c', ['abc', 'axbxc', 'abbcc'], ['ab', 'acb', 'abcd', 'a/b/c']],
    ['*ab*ab*', ['abab', 'xabxabx'], ['ab', 'aba', 'xab']],
    ['ab*ba', ['abba', 'abxba'], ['aba', 'ab', 'ba']],
    ['x-*/app', ['x-/app', 'x-1/app'], ['x/app', 'x-1/b/app', 'x-1/apps']],
  ]

describe('a pattern', () => {
  it.each(TABLE)('%s matches what it says and nothing else', (pattern, matching, others) => {
    expect(matching.filter((name) => !matches(pattern, name))).toEqual([])
    expect(others.filter((name) => matches(pattern, name))).toEqual([])
  })

  it('means what a slow matcher of a few lines means', () => {
    const segment = fc.array(fc.constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 5 }).map(joined)
    const pattern = fc
      .array(fc.oneof(segment, fc.constant('**')), { minLength: 1, maxLength: 5 })
      .map((segments) => segments.join('/'))
      .filter((text) => repositoryPatternProblem(text) === undefined)
    const name = fc
      .array(fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 4 }).map(joined), {
        minLength: 1,
        maxLength: 5,
      })
      .map((segments) => segments.join('/'))
    fc.assert(
      fc.property(pattern, name, (p, n) => {
        expect(matches(p, n)).toBe(slowly(p.split('/'), n.split('/')))
      }),
      { numRuns: 20_000 },
    )
  })

  it('takes no longer when it was written to make a matcher try every way', () => {
    const name = Array.from({ length: 127 }, () => 'a').join('/')
    const patterns = [
      `${'**/'.repeat(80)}b`,
      `${'**/a/'.repeat(50)}b`,
      `${'**/*a*/'.repeat(36)}b`,
      `${'*a'.repeat(120)}*b`,
    ]
    const start = performance.now()
    for (const pattern of patterns) {
      expect(repositoryPatternProblem(pattern)).toBeUndefined()
      expect(matches(pattern, name)).toBe(false)
      expect(matches(pattern, 'a'.repeat(255))).toBe(false)
    }
    // Backtracking would take longer than the universe is old.
    expect(performance.now() - start).toBeLessThan(1_000)
  })
})

describe('a pattern that can match nothing is a problem:', () => {
  it.each([
    ['Team/app', 'lower-case'],
    ['team/a b', 'only a-z'],
    ['team/a?', 'only a-z'],
    ['{a,b}/c', 'only a-z'],
    ['!team/app', 'only a-z'],
    ['/team', '"/"'],
    ['team/', '"/"'],
    ['team//app', '"/"'],
    ['', '"/"'],
    ['team**', 'alone'],
    ['team/**app', 'alone'],
    ['***', 'alone'],
    ['a'.repeat(256), '255'],
  ])('%s', (pattern, problem) => {
    expect(repositoryPatternProblem(pattern)).toContain(problem)
  })

  it.each([
    ['', 'only letters'],
    ['v 1', 'only letters'],
    ['v/1', 'only letters'],
    ['v:1', 'only letters'],
    ['v**', '"*"'],
    ['a'.repeat(129), '128'],
  ])('of a tag, %s', (pattern, problem) => {
    expect(tagPatternProblem(pattern)).toContain(problem)
  })

  it('and others are none', () => {
    for (const pattern of ['**', 'team/**', '*', 'a_b/c.d/e-*']) {
      expect(repositoryPatternProblem(pattern)).toBeUndefined()
    }
    for (const pattern of ['*', 'v*', 'V1.0_rc-*', 'latest'])
      expect(tagPatternProblem(pattern)).toBeUndefined()
  })
})

function joined(parts: readonly string[]): string {
  return parts.join('')
}

function slowly(pattern: readonly string[], names: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return names.length === 0
  if (first === '**') {
    const least = rest.length === 0 ? 1 : 0
    return (
      names.some((_, i) => i >= least && slowly(rest, names.slice(i))) ||
      (names.length >= least && slowly(rest, []))
    )
  }
  const segment = new RegExp(`^${first.replaceAll('*', '.*')}$`)
  return names[0] !== undefined && segment.test(names[0]) && slowly(rest, names.slice(1))
}
