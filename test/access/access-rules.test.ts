import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ANONYMOUS, createAccessRules, type Decision, type Subject } from '../../src/access/access-rules.ts'
import { compileGlob, splitName } from '../../src/access/glob.ts'
import type { Action } from '../../src/access/actions.ts'
import { rulesOf, user } from './rules-of.ts'

const RULES = rulesOf(`groups:
  ci: [builder, deploy]
  ops: [olga, builder]
rules:
  - who: "@ci"
    repositories: ["team/**"]
    allow: [pull, push]
  - who: "*"
    repositories: ["public/*", "shared/**"]
    allow: [pull]
  - who: anonymous
    repositories: ["public/*"]
    allow: [pull]
  - who: [alice, "@ops"]
    repositories: ["**"]
    allow: [delete, catalog]
  - who: alice
    repositories: ["team/**"]
    allow: [pull, status]
`)

const subjectOf = (who: string): Subject => (who === 'nobody' ? ANONYMOUS : user(who))
const decide = (who: string, action: Action, repository: string): Decision =>
  RULES.decide(subjectOf(who), { action, repository })

describe('rules', () => {
  it.each<readonly [who: string, action: Action, repository: string, rule: number | undefined]>([
    // Through a group.
    ['builder', 'push', 'team/app', 1],
    ['builder', 'pull', 'team/a/b', 1],
    ['deploy', 'push', 'team/app', 1],
    ['builder', 'push', 'team', undefined],
    ['builder', 'push', 'teams/app', undefined],
    ['builder', 'push', 'public/app', undefined],
    ['deploy', 'delete', 'team/app', undefined],
    ['builder', 'delete', 'team/app', 4],
    // Everyone who logged in.
    ['zoe', 'pull', 'shared/a/b', 2],
    ['zoe', 'pull', 'public/a', 2],
    ['zoe', 'pull', 'public/a/b', undefined],
    ['zoe', 'push', 'public/a', undefined],
    ['zoe', 'pull', 'team/app', undefined],
    // Without login.
    ['nobody', 'pull', 'public/a', 3],
    ['nobody', 'pull', 'shared/a', undefined],
    ['nobody', 'push', 'public/a', undefined],
    ['nobody', 'catalog', '', undefined],
    // By name, and the first of several rules.
    ['alice', 'pull', 'team/app', 5],
    ['alice', 'pull', 'public/a', 2],
    ['alice', 'delete', 'anything/at/all', 4],
    ['olga', 'delete', 'x', 4],
    // What concerns no repository.
    ['alice', 'catalog', '', 4],
    ['alice', 'status', '', 5],
    ['zoe', 'catalog', '', undefined],
    ['olga', 'status', '', undefined],
    // Users whose names are words of the rules file, or of JavaScript.
    ['@ci', 'push', 'team/app', undefined],
    ['*', 'push', 'team/app', undefined],
    ['anonymous', 'pull', 'shared/a', 2],
    ['__proto__', 'push', 'team/app', undefined],
    ['constructor', 'pull', 'public/a', 2],
    ['Alice', 'delete', 'x', undefined],
  ])('let %s %s %s: rule %s', (who, action, repository, rule) => {
    const decision = decide(who, action, repository)
    expect(decision.kind === 'allowed' ? decision.rule : undefined).toBe(rule)
  })

  it('name the line of the rule that decides', () => {
    expect(decide('zoe', 'pull', 'public/a')).toEqual({ kind: 'allowed', rule: 2, line: 8 })
  })

  it('let everyone who logged in do what they may without login', () => {
    const rules = rulesOf('rules: [{who: anonymous, repositories: ["public/*"], allow: [pull]}]')
    expect(rules.decide(user('zoe'), { action: 'pull', repository: 'public/a' }).kind).toBe('allowed')
  })

  it('allow nothing when there are none', () => {
    const rules = rulesOf('rules: []')
    expect(rules.decide(user('alice'), { action: 'pull', repository: 'a' }).kind).toBe('denied')
    expect(rules.decide(ANONYMOUS, { action: 'catalog' }).kind).toBe('denied')
  })
})

describe('the index of rules', () => {
  const part = fc.constantFrom('a', 'b', '*', 'a*', '**')
  const pattern = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
  const name = fc
    .array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join('/'))
  const mention = fc.constantFrom('alice', 'bob', '@g', '@h', '*', 'anonymous')
  const rule = fc.record({
    who: fc.array(mention, { minLength: 1, maxLength: 3 }),
    repositories: fc.array(pattern, { minLength: 1, maxLength: 3 }),
    allow: fc.subarray(['pull', 'push', 'catalog'], { minLength: 1 }),
  })
  const groups = { g: ['alice'], h: ['alice', 'bob'] }
  const namesOf: Readonly<Record<string, readonly string[]>> = {
    alice: ['alice', '@g', '@h', '*', 'anonymous'],
    bob: ['bob', '@h', '*', 'anonymous'],
    zoe: ['*', 'anonymous'],
    nobody: ['anonymous'],
  }

  it('decides as looking at one rule after the other does', () => {
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 8 }),
        fc.constantFrom('alice', 'bob', 'zoe', 'nobody'),
        fc.constantFrom<Action>('pull', 'push', 'catalog'),
        name,
        (rules, who, action, repository) => {
          const decision = rulesOf(JSON.stringify({ groups, rules })).decide(subjectOf(who), {
            action,
            repository,
          })
          const expected = rules.findIndex(
            (one) =>
              one.who.some((mentioned) => namesOf[who]?.includes(mentioned)) &&
              one.allow.includes(action) &&
              (action === 'catalog' ||
                one.repositories.some((text) => compileGlob(text)(splitName(repository)))),
          )
          expect(decision.kind === 'allowed' ? decision.rule - 1 : -1).toBe(expected)
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('grows with the file, not with names times repositories', () => {
    const many = (text: string): readonly string[] => Array.from({ length: 3_000 }, (_, i) => `${text}${i}`)
    const rules = rulesOf(
      JSON.stringify({ rules: [{ who: many('user'), repositories: many('team'), allow: ['pull'] }] }),
    )
    expect(rules.decide(user('user2999'), { action: 'pull', repository: 'team2999' }).kind).toBe('allowed')
    const start = performance.now()
    createAccessRules(rules.file)
    // Nine million entries would take seconds.
    expect(performance.now() - start).toBeLessThan(500)
  })
})

describe('immutable tags', () => {
  const rules = rulesOf(`rules: []
immutable:
  - repositories: ["team/**"]
    tags: ["v*", "release-*"]
  - repositories: ["team/frozen"]
    tags: ["*"]
`)
  const hex = 'a'.repeat(64)

  it.each([
    ['team/app', 'v1.2', true],
    ['team/app', 'v', true],
    ['team/a/b', 'release-1', true],
    ['team/app', 'latest', false],
    ['team/app', 'V1', false],
    ['team/app', 'rc-v1', false],
    ['team', 'v1', false],
    ['other/app', 'v1', false],
    ['team/frozen', 'latest', true],
    // Not a fallback tag: a commit's hash, or too short.
    ['team/app', `release-${hex}`, true],
    ['team/frozen', `build-${hex}`, true],
    ['team/frozen', 'sha256-abc', true],
    ['team/frozen', `sha256-${hex}-x`, true],
    ['team/frozen', `sha256-${hex.toUpperCase()}`, true],
    // Fallback tags of the referrers API, and of cosign.
    ['team/frozen', `sha256-${hex}`, false],
    ['team/frozen', `sha512-${hex}`, false],
    ['team/frozen', `sha256-${hex}.sig`, false],
    ['team/frozen', `sha256-${hex}.att`, false],
  ])('of %s: %s is one: %s', (repository, tag, isImmutable) => {
    expect(rules.isImmutable(repository, tag)).toBe(isImmutable)
  })

  it('are known for a repository as a whole', () => {
    expect(rules.hasImmutableTags('team/app')).toBe(true)
    expect(rules.hasImmutableTags('other/app')).toBe(false)
  })
})
