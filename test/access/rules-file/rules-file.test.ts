import { describe, expect, it } from 'vitest'
import { parseRules } from '../../../src/access/rules-file/rules-file.ts'

const EXAMPLE = `groups:
  ci: [builder, deploy]
rules:
  - who: "@ci"
    repositories: ["team/**"]
    allow: [pull, push]
  - who: ["*", anonymous]
    repositories: ["public/*"]
    allow: [pull]
  - who: ops
    allow: [catalog, status]
immutable:
  - repositories: ["team/**"]
    tags: ["v*", "release-*"]
`

function problemsOf(text: string): readonly string[] {
  const reading = parseRules(text)
  if (reading.kind === 'rules') return []
  return reading.problems.map(({ line, column, message }) => `${line}:${column} ${message}`)
}

const rule = (fields: string): string => `rules: [{${fields}}]`

describe('a rules file', () => {
  it('is read with the place of everything that is reported later', () => {
    const reading = parseRules(EXAMPLE)
    expect(reading).toEqual({
      kind: 'rules',
      file: {
        groups: [
          {
            name: 'ci',
            line: 2,
            column: 3,
            members: [
              { name: 'builder', line: 2, column: 8 },
              { name: 'deploy', line: 2, column: 17 },
            ],
          },
        ],
        rules: [
          {
            who: [{ name: '@ci', line: 4, column: 10 }],
            repositories: ['team/**'],
            allow: ['pull', 'push'],
            line: 4,
            column: 5,
          },
          {
            who: [
              { name: '*', line: 7, column: 11 },
              { name: 'anonymous', line: 7, column: 16 },
            ],
            repositories: ['public/*'],
            allow: ['pull'],
            line: 7,
            column: 5,
          },
          {
            who: [{ name: 'ops', line: 10, column: 10 }],
            repositories: [],
            allow: ['catalog', 'status'],
            line: 10,
            column: 5,
          },
        ],
        immutable: [{ repositories: ['team/**'], tags: ['v*', 'release-*'], line: 13, column: 5 }],
      },
    })
  })

  it('may have Windows line ends, a byte order mark, and no rule', () => {
    expect(parseRules(`\uFEFF${EXAMPLE.replaceAll('\n', '\r\n')}`).kind).toBe('rules')
    expect(parseRules('rules: []').kind).toBe('rules')
  })

  it('lists all problems at once, by place', () => {
    const text = `groups:
  ci: [builder, "@other"]
  "b c": [x]
rules:
  - who: "@cj"
    repositories: ["Team/**", "a//b"]
    allow: [pull, pus]
    repository: x
  - repositories: [a]
    allow: []
immutable:
  - repositories: ["**"]
    tags: [1.0, "v**"]
typo: 1
`
    expect(problemsOf(text)).toEqual([
      '2:17 a group lists usernames; it cannot contain groups, "*" or anonymous',
      '3:3 a group name can contain only letters, digits, ".", "_" and "-"',
      '5:10 unknown group "@cj"',
      '6:20 "Team/**": repository names are lower-case',
      '6:31 "a//b": a pattern must not begin or end with "/", or contain "//"',
      '7:19 unknown action "pus"; the actions are pull, push, delete, catalog, status',
      '8:5 unknown key "repository"',
      '9:5 "who" is missing',
      '10:12 the list is empty',
      '13:12 expected text, found 1; put it in quotes',
      '13:17 "v**": a tag pattern does not support "**"; write "*"',
      '14:1 unknown key "typo"',
    ])
  })

  it.each<readonly [text: string, problem: string]>([
    // Nothing in it.
    ['', '1:1 the file is empty; to allow nothing, write "rules: []"'],
    ['# nothing\n', '1:1 the file is empty; to allow nothing, write "rules: []"'],
    ['null', '1:1 the file is empty; to allow nothing, write "rules: []"'],
    ['groups: {}', '1:1 "rules" is missing; expected a list'],
    ['immutable: []', '1:1 "rules" is missing; expected a list'],
    ['rules:', '1:7 expected a list, found nothing'],
    // Other shapes.
    ['- a', '1:1 expected a mapping, found a list'],
    ['rules: {}', '1:8 expected a list, found a mapping'],
    ['rules: [a]', '1:9 expected a mapping, found the text "a"'],
    [rule('who: 7, allow: [status]'), '1:15 expected text or a list, found 7; put it in quotes'],
    [rule('who: [a, null], allow: [status]'), '1:19 expected text, found nothing'],
    [rule('who: [], allow: [status]'), '1:15 the list is empty'],
    [
      rule('who: "", allow: [status]'),
      '1:15 a username must not be empty or contain colons or control characters',
    ],
    [
      rule('who: "a:b", allow: [status]'),
      '1:15 a username must not be empty or contain colons or control characters',
    ],
    [rule('who: "@", allow: [status]'), '1:15 the name of the group is missing after "@"'],
    [rule('who: a, allow: pull'), '1:25 expected a list, found the text "pull"'],
    [rule('who: a, allow: [pull]'), '1:9 "repositories" is missing; pull is allowed per repository'],
    [rule('who: a, repositories: "**", allow: [pull]'), '1:32 expected a list, found the text "**"'],
    [rule('who: a, repositories: [""], allow: [pull]'), '1:33 "": the pattern is empty'],
    // Names that JavaScript objects have anyway.
    [rule('who: "@constructor", allow: [status]'), '1:15 unknown group "@constructor"'],
    [rule('who: "@__proto__", allow: [status]'), '1:15 unknown group "@__proto__"'],
    ['rules: []\n__proto__: {}', '2:1 unknown key "__proto__"'],
    ['rules: []\ngroups: {__proto__: [a]}', '2:10 unknown key "__proto__"'],
    ['rules: []\nconstructor: {}', '2:1 unknown key "constructor"'],
    // What YAML has and rules do not need.
    ['rules: []\nrules: []', '2:1 the key "rules" appears twice in this mapping'],
    [`groups: {ci: [a], ci: [b]}\nrules: []`, '1:19 the key "ci" appears twice in this mapping'],
    [
      'rules: &r []\nimmutable: *r',
      '2:12 text that begins with "*" must be in quotes; YAML aliases are not supported',
    ],
    [
      rule('who: *, allow: [status]'),
      '1:15 text that begins with "*" must be in quotes; YAML aliases are not supported',
    ],
    [
      rule('who: a, repositories: [**], allow: [pull]'),
      '1:33 text that begins with "*" must be in quotes; YAML aliases are not supported',
    ],
    ['rules:\n  - who: @ci\n    allow: [status]', '2:10 text that begins with "@" or "`" must be in quotes'],
    ['rules: !!set {a}', '1:8 tags that begin with "!" are not supported'],
    ['rules: !x []', '1:8 tags that begin with "!" are not supported'],
    ['rules: []\n---\nrules: []', '2:1 a second YAML document begins; the file must be one document'],
    ['? [a]\n: b\nrules: []', '1:3 a key must be text'],
    ['<<: {rules: []}\nrules: []', '1:1 unknown key "<<"'],
    ['%YAML 1.1\n---\nrules: no', '3:8 expected a list, found the text "no"'],
    ['rules:\n\t- who: a', '2:1 Tabs are not allowed as indentation'],
  ])('%j has a problem', (text, problem) => {
    expect(problemsOf(text)).toContain(problem)
  })

  it('is refused with the place when it is nested too deeply', () => {
    const problems = problemsOf(`rules: ${'['.repeat(50_000)}`)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/^1:\d+ the file is nested too deeply$/)
  })

  it('has at most 100 of its problems listed, and the rest counted', () => {
    const problems = problemsOf(`rules: [${'1,'.repeat(500)}]`)
    expect(problems).toHaveLength(101)
    expect(problems.at(-1)).toBe('1:209 400 more problems from here on')
  })
})
