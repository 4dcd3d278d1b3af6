// Tests what a restriction allows, alone and together with rules.

import { describe, expect, it } from 'vitest'
import type { AccessRules, Question } from '../../src/access/access-rules.ts'
import { rightsOf } from '../../src/access/authorization.ts'
import {
  compileRestriction,
  restrict,
  parseRestriction,
  type CompiledRestriction,
} from '../../src/access/restriction.ts'
import type { Action } from '../../src/access/actions.ts'
import { rulesOf, user } from './rules-of.ts'

function restrictionOf(allow: readonly Action[], ...repositories: readonly string[]): CompiledRestriction {
  return compileRestriction({ allow, repositories })
}

const PULL_TEAM = restrictionOf(['pull'], 'team/**', 'base')

describe('a restriction', () => {
  it.each<
    [action: Action, repository: string | undefined, restriction: CompiledRestriction, allowed: boolean]
  >([
    ['pull', 'team/app', PULL_TEAM, true],
    ['pull', 'team/app/deep', PULL_TEAM, true],
    ['pull', 'base', PULL_TEAM, true],
    ['pull', 'team', PULL_TEAM, false],
    ['pull', 'teams/app', PULL_TEAM, false],
    ['push', 'team/app', PULL_TEAM, false],
    ['delete', 'team/app', PULL_TEAM, false],
    ['catalog', undefined, PULL_TEAM, false],
    ['status', undefined, PULL_TEAM, false],
    ['catalog', undefined, restrictionOf(['catalog'], 'base'), true],
    ['pull', 'any/where', restrictionOf(['pull', 'push'], '**'), true],
    ['delete', 'any/where', restrictionOf(['pull', 'push'], '**'), false],
  ])('to %s %s', (action, repository, restriction, allowed) => {
    const question = repository === undefined ? { action } : { action, repository }
    expect(restriction.allows(question)).toBe(allowed)
  })

  it('adds nothing to the rules, and the rules add nothing to it', () => {
    const rules = rulesOf('rules: [{ who: ci, repositories: ["team/**", other], allow: [pull, push] }]')
    const may = rightsIn(
      rules,
      compileRestriction({ allow: ['pull', 'delete'], repositories: ['team/**', 'third'] }),
    )
    const allowed = ['team/app', 'other', 'third'].map((repository) =>
      (['pull', 'push', 'delete'] as const).filter((action) => may({ action, repository })).join(),
    )
    expect(allowed).toEqual(['pull', '', ''])
  })

  it('counts without rules too', () => {
    const may = rightsIn(undefined, PULL_TEAM)
    expect(may({ action: 'pull', repository: 'team/app' })).toBe(true)
    expect(may({ action: 'push', repository: 'team/app' })).toBe(false)
  })
})

function rightsIn(
  rules: AccessRules | undefined,
  restriction: CompiledRestriction,
): (question: Question) => boolean {
  const rights = restrict(rightsOf(rules, user('ci')), restriction)
  return rights === 'everything' ? () => true : rights
}

describe('a parsed restriction', () => {
  it('has the actions in one order, each once', () => {
    expect(parseRestriction(['push', 'pull', 'push'], ['team/**'])).toEqual({
      kind: 'restriction',
      restriction: { allow: ['pull', 'push'], repositories: ['team/**'] },
    })
  })

  it.each<[what: string, allow: readonly string[], repositories: readonly string[], reason: RegExp]>([
    ['an unknown action', ['pull', 'admin'], ['**'], /unknown action "admin"; the actions are pull, push/],
    ['an action in capitals', ['Pull'], ['**'], /unknown action "Pull"/],
    ['a blank', ['pull', ''], ['**'], /unknown action ""/],
    ['no action', [], ['**'], /list of actions is empty/],
    ['no pattern', ['pull'], [], /list of repositories is empty/],
    ['an empty pattern', ['pull'], [''], /the pattern is empty/],
    ['a pattern in capitals', ['pull'], ['Team/*'], /lower-case/],
    ['a pattern with a line feed', ['pull'], ['team\nroot:x'], /"team\\nroot:x": a pattern can contain only/],
    ['a pattern that matches nothing', ['pull'], ['team**'], /must stand alone/],
    ['too many patterns', ['pull'], Array.from({ length: 21 }, (_, i) => `team/${i}`), /at most 20 patterns/],
  ])('is refused with %s', (_what, allow, repositories, reason) => {
    const parsed = parseRestriction(allow, repositories)
    expect(parsed.kind === 'invalid' ? parsed.reasons : []).toEqual([expect.stringMatching(reason)])
  })
})
