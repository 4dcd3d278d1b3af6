import { describe, expect, it } from 'vitest'
import { ANONYMOUS } from '../../src/access/access-rules.ts'
import {
  explain,
  rulesForNobody,
  surprisingRules,
  unknownUsers,
  usersWithoutRights,
} from '../../src/access/rules-report.ts'
import type { Problem } from '../../src/access/rules-file/yaml-text.ts'
import { rulesOf, user } from './rules-of.ts'

const RULES = rulesOf(`groups:
  ci: [builder, gone]
  old: [gone, left]
  empty: []
rules:
  - {who: "@ci", repositories: ["**"], allow: [pull]}
  - {who: "@old", repositories: ["**"], allow: [pull]}
  - {who: ["@empty", ghost], repositories: ["**"], allow: [pull]}
  - {who: alice, repositories: ["team/*"], allow: [push, catalog]}
  - {who: "@empty", repositories: ["team/*"], allow: [status]}
`)
const KNOWN = new Set(['builder', 'alice', 'zoe'])

const lines = (problems: readonly Problem[]): readonly string[] =>
  problems.map(({ line, column, message }) => `${line}:${column} ${message}`)

describe('the report on rules', () => {
  it('names users who are in no users file, with their place', () => {
    expect(lines(unknownUsers(RULES.file, KNOWN))).toEqual([
      '2:17 group "ci" names user "gone", who is not in the users file',
      '3:9 group "old" names user "gone", who is not in the users file',
      '3:15 group "old" names user "left", who is not in the users file',
      '8:22 user "ghost" is not in the users file',
    ])
  })

  it('names rules that are for nobody', () => {
    expect(lines(rulesForNobody(RULES.file, KNOWN))).toEqual([
      '7:5 rule 2 is for nobody in the users file',
      '8:5 rule 3 is for nobody in the users file',
      '10:5 rule 5 is for nobody in the users file',
    ])
  })

  it('takes "*" and anonymous for somebody', () => {
    const rules = rulesOf('rules: [{who: "*", allow: [catalog]}, {who: [x, anonymous], allow: [catalog]}]')
    expect(rulesForNobody(rules.file, new Set())).toEqual([])
  })

  it('names users whom no rule allows anything', () => {
    expect(usersWithoutRights(RULES, KNOWN)).toEqual(['zoe'])
    const rules = rulesOf('rules: [{who: "*", allow: [catalog]}]')
    expect(usersWithoutRights(rules, KNOWN)).toEqual([])
  })

  it('names rules that allow more than they seem to', () => {
    const rules = rulesOf(`rules:
  - {who: anonymous, repositories: ["public/*"], allow: [pull]}
  - {who: [alice, anonymous], repositories: ["public/*"], allow: [pull, push, delete]}
  - {who: alice, repositories: ["team/*"], allow: [pull, catalog]}
  - {who: alice, repositories: ["**"], allow: [pull, catalog]}
  - {who: alice, allow: [catalog]}
`)
    expect(lines(surprisingRules(rules.file))).toEqual([
      '3:5 rule 2 allows push, delete without login',
      '4:5 rule 3 allows catalog for the whole registry; "repositories" does not limit it',
    ])
  })
})

describe('an explanation', () => {
  it('names the deciding rule and its line', () => {
    expect(explain(RULES, user('alice'), { action: 'push', repository: 'team/app' })).toEqual({
      isAllowed: true,
      rule: 4,
      line: 9,
      message: 'alice may push to team/app: rule 4, line 9',
    })
  })

  it('says what is allowed without a rules file', () => {
    const question = { action: 'push', repository: 'team/app' } as const
    expect(explain(undefined, user('alice'), question)).toMatchObject({ isAllowed: true })
    expect(explain(undefined, ANONYMOUS, question)).toMatchObject({ isAllowed: false })
  })

  it('says that there is none', () => {
    expect(explain(RULES, user('alice'), { action: 'delete', repository: 'team/app' })).toEqual({
      isAllowed: false,
      message: 'alice may not delete from team/app: no rule allows it',
    })
    expect(explain(RULES, ANONYMOUS, { action: 'catalog' }).message).toBe(
      'anonymous may not list the repositories (catalog): no rule allows it',
    )
  })
})
