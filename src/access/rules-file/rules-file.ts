// Reads the text of a rules file into checked rules or problems.

import { type Action } from '../actions.ts'
import { checkShape, type RulesFileShape } from './rules-schema.ts'
import { readYaml, TOO_DEEP, type Place, type Problem, type YamlText } from './yaml-text.ts'

/** A username, `@group`, `*` or `anonymous`. */
export interface Mention extends Place {
  readonly name: string
}

export interface Group extends Place {
  readonly name: string
  readonly members: readonly Mention[]
}

export interface Rule extends Place {
  readonly who: readonly Mention[]
  readonly repositories: readonly string[]
  readonly allow: readonly Action[]
}

export interface ImmutableRule extends Place {
  readonly repositories: readonly string[]
  readonly tags: readonly string[]
}

/** Plain data, so that a worker thread can send it. */
export interface RulesFile {
  readonly groups: readonly Group[]
  readonly rules: readonly Rule[]
  readonly immutable: readonly ImmutableRule[]
}

export type RulesReading =
  | { readonly kind: 'rules'; readonly file: RulesFile }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] }

/** For a hostile text, call it through read-rules.ts, which limits time and memory. */
export function parseRules(text: string): RulesReading {
  try {
    return parse(text)
  } catch (error) {
    // The parser and the checks are recursive, so a deeply nested file exhausts the stack.
    if (!(error instanceof RangeError)) throw error
    return { kind: 'problems', problems: [{ line: 1, column: 1, message: TOO_DEEP }] }
  }
}

function parse(text: string): RulesReading {
  const yaml = readYaml(text)
  if (yaml.value === undefined) return failure(yaml.problems)
  // Some editors empty a file before they write it. Empty rules would refuse all requests meanwhile.
  if (yaml.value === null) return failure([{ line: 1, column: 1, message: EMPTY }])
  const shape = checkShape(yaml.value)
  const shapeProblems =
    shape.kind === 'valid'
      ? []
      : shape.problems.map(({ path, key, message }) => ({
          ...(key === undefined ? yaml.placeOf(path) : yaml.placeOfKey(path, key)),
          message,
        }))
  const problems = [...yaml.problems, ...shapeProblems, ...unknownGroups(yaml)]
  return shape.kind === 'valid' && problems.length === 0
    ? { kind: 'rules', file: withPlaces(shape.value, yaml) }
    : failure(problems)
}

const EMPTY = 'the file is empty; to allow nothing, write "rules: []"'

// In a text that is not a rules file, every line can be a problem.
const MAX_PROBLEMS = 100

function failure(all: readonly Problem[]): RulesReading {
  const sorted = all.toSorted((a, b) => a.line - b.line || a.column - b.column)
  const problems = sorted.slice(0, MAX_PROBLEMS)
  const next = sorted[MAX_PROBLEMS]
  if (next !== undefined)
    problems.push({ ...next, message: `${sorted.length - MAX_PROBLEMS} more problems from here on` })
  return { kind: 'problems', problems }
}

function unknownGroups(yaml: YamlText): readonly Problem[] {
  const groups = new Set(Object.keys(fieldOf(yaml.value, 'groups') ?? {}))
  const rules = fieldOf(yaml.value, 'rules')
  return (Array.isArray(rules) ? rules : []).flatMap((rule: unknown, i) => {
    const who = fieldOf(rule, 'who')
    return namesIn(who, ['rules', i, 'who'])
      .filter(({ name }) => name.length > 1 && name.startsWith('@') && !groups.has(name.slice(1)))
      .map(({ name, path }) => ({ ...yaml.placeOf(path), message: `unknown group "${name}"` }))
  })
}

interface PathOfName {
  readonly name: string
  readonly path: readonly PropertyKey[]
}

function namesIn(who: unknown, path: readonly PropertyKey[]): readonly PathOfName[] {
  if (typeof who === 'string') return [{ name: who, path }]
  if (!Array.isArray(who)) return []
  return who.flatMap((name: unknown, i) => (typeof name === 'string' ? [{ name, path: [...path, i] }] : []))
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined
}

function withPlaces({ groups = {}, rules, immutable = [] }: RulesFileShape, yaml: YamlText): RulesFile {
  const mention = ({ name, path }: PathOfName): Mention => ({ name, ...yaml.placeOf(path) })
  return {
    groups: Object.entries(groups).map(([name, members]) => ({
      name,
      members: namesIn(members, ['groups', name]).map(mention),
      ...yaml.placeOfKey(['groups'], name),
    })),
    rules: rules.map(({ who, repositories = [], allow }, i) => ({
      who: namesIn(who, ['rules', i, 'who']).map(mention),
      repositories,
      allow,
      ...yaml.placeOf(['rules', i]),
    })),
    immutable: immutable.map((rule, i) => ({ ...rule, ...yaml.placeOf(['immutable', i]) })),
  }
}
