// Tests how scope parameters are read.

import { describe, expect, it } from 'vitest'
import { formatScopes, parseScopes } from '../../src/tokens/scope-parameter.ts'

describe('parseScopes', () => {
  it.each<[what: string, values: readonly string[], expected: string]>([
    ['one scope', ['repository:team/app:pull'], 'repository:team/app:pull'],
    ['actions in their order', ['repository:app:push,pull'], 'repository:app:push,pull'],
    ['every action', ['repository:app:*'], 'repository:app:*'],
    ['an action twice as once', ['repository:app:pull,pull'], 'repository:app:pull'],
    ['several parameters', ['repository:a:pull', 'repository:b:push'], 'repository:a:pull repository:b:push'],
    [
      'several in one parameter',
      ['repository:a:pull repository:b:push'],
      'repository:a:pull repository:b:push',
    ],
    ['many blanks', ['  repository:a:pull   repository:b:pull '], 'repository:a:pull repository:b:pull'],
    ['a class of repositories', ['repository(plugin):app:pull'], 'repository:app:pull'],
    ['a name with a port', ['repository:host:5000/app:pull'], 'repository:host:5000/app:pull'],
    [
      'a class and a port',
      ['repository(image):host:5000/app:pull,push'],
      'repository:host:5000/app:pull,push',
    ],
    ['nothing', [], ''],
    ['an empty value', [''], ''],
  ])('reads %s', (_what, values, expected) => {
    expect(formatScopes(parseScopes(values))).toBe(expected)
  })

  it.each([
    ['another type', 'registry:catalog:*'],
    ['no actions', 'repository:app:'],
    ['no name', 'repository::pull'],
    ['one part', 'repository'],
    ['two parts', 'repository:app'],
    ['a comma too many', 'repository:app:pull,'],
    ['an action with other characters', 'repository:app:Pull!'],
    ['a type in upper case', 'REPOSITORY:app:pull'],
    ['a class that is not closed', 'repository(plugin:app:pull'],
    ['an endless name', `repository:${'a'.repeat(60_000)}:pull`],
    ['an endless action', `repository:app:${'a'.repeat(60_000)}!`],
    ['endless colons', `repository${':a'.repeat(30_000)}!`],
    ['endless commas', `repository:app:a${',a'.repeat(30_000)}!`],
  ])('ignores %s, and keeps the scopes around it', (_what, odd) => {
    const read = parseScopes([`repository:a:pull ${odd} repository:b:pull`])
    expect(formatScopes(read)).toBe('repository:a:pull repository:b:pull')
  })

  it('stops after fifty scopes', () => {
    expect(parseScopes(['repository:a:pull '.repeat(3_000)])).toHaveLength(50)
  })
})

it('formatScopes leaves out a repository without actions', () => {
  const scopes = [
    { repository: 'a', actions: [] },
    { repository: 'b', actions: ['pull', 'push'] },
  ]
  expect(formatScopes(scopes)).toBe('repository:b:pull,push')
})
