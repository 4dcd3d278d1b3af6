// Describes the shape of a rules file, also as JSON Schema.

import { z } from 'zod'
import { ACTIONS, isRepositoryAction } from '../actions.ts'
import { repositoryPatternProblem, tagPatternProblem } from '../glob.ts'

// A colon ends the name in a users file.
const username = z
  .string()
  .regex(/^[^:\p{Cc}]+$/u, { error: 'a username must not be empty or contain colons or control characters' })
  .meta({ pattern: '^[^:]+$' })

const member = username
  .refine((name) => !/^(?:@.*|\*|anonymous)$/.test(name), {
    error: 'a group lists usernames; it cannot contain groups, "*" or anonymous',
  })
  .meta({ pattern: '^(?!@|\\*$|anonymous$)[^:]+$' })

const who = username
  .refine((name) => name !== '@', { error: 'the name of the group is missing after "@"' })
  .meta({
    pattern: '^[^:]+$',
    description:
      'A user, a @group, "*" (every user who logged in) or anonymous (everyone, even without login)',
  })

const repositoryPattern = pattern(repositoryPatternProblem).meta({
  pattern: '^[a-z0-9._*/-]+$',
  description: 'A repository pattern; * matches text within a segment, ** matches whole segments',
})

const tagPattern = pattern(tagPatternProblem).meta({
  pattern: '^[\\w.*-]+$',
  description: 'A tag pattern; * matches any characters',
})

const rule = z
  .strictObject({
    who: z
      .union([who, list(who)])
      .meta({ description: 'The users that the rule applies to: one name, or a list' }),
    repositories: list(repositoryPattern)
      .optional()
      .meta({ description: 'Required for pull, push and delete' }),
    allow: list(z.enum(ACTIONS)).meta({ description: 'The actions that the rule allows' }),
  })
  .superRefine(({ repositories, allow }, context) => {
    const needs = allow.find((action) => isRepositoryAction(action))
    if (repositories !== undefined || needs === undefined) return
    context.addIssue({
      code: 'custom',
      message: `"repositories" is missing; ${needs} is allowed per repository`,
    })
  })

const immutable = z.strictObject({ repositories: list(repositoryPattern), tags: list(tagPattern) })

export const rulesFileSchema = z
  .strictObject({
    groups: z
      .record(
        z
          .string()
          .regex(/^[\w.-]+$/, { error: 'a group name can contain only letters, digits, ".", "_" and "-"' }),
        z.array(member),
      )
      .optional()
      .meta({ description: 'Lists of users, each with a name' }),
    rules: z.array(rule).meta({ description: 'A request that no rule allows is refused' }),
    immutable: z
      .array(immutable)
      .optional()
      .meta({ description: 'Tags that can be pushed only once, and cannot be moved or deleted' }),
  })
  .meta({ title: 'Access rules of registry-sidecar' })

export type RulesFileShape = z.output<typeof rulesFileSchema>

export function rulesJsonSchema(): unknown {
  return z.toJSONSchema(rulesFileSchema, { io: 'input' })
}

/** If `key` is set, the problem is the key, not its value. */
export interface ShapeProblem {
  readonly path: readonly PropertyKey[]
  readonly key?: string
  readonly message: string
}

export type ShapeCheck =
  | { readonly kind: 'valid'; readonly value: RulesFileShape }
  | { readonly kind: 'invalid'; readonly problems: readonly ShapeProblem[] }

export function checkShape(value: unknown): ShapeCheck {
  const result = rulesFileSchema.safeParse(value, { reportInput: true })
  if (result.success) return { kind: 'valid', value: result.data }
  return { kind: 'invalid', problems: result.error.issues.flatMap((issue) => problemsOf(issue, [])) }
}

function list<T extends z.ZodType>(item: T): z.ZodArray<T> {
  return z.array(item).min(1, { error: 'the list is empty' })
}

function pattern(problemOf: (text: string) => string | undefined): z.ZodString {
  return z.string().superRefine((text, context) => {
    const message = text === '' ? 'the pattern is empty' : problemOf(text)
    if (message !== undefined) context.addIssue({ code: 'custom', message: `"${text}": ${message}` })
  })
}

type Issue = z.core.$ZodIssue

function problemsOf(issue: Issue, parent: readonly PropertyKey[]): readonly ShapeProblem[] {
  const path = [...parent, ...issue.path]
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ path, key, message: `unknown key "${key}"` }))
    case 'invalid_key':
      return [
        {
          path: path.slice(0, -1),
          key: String(path.at(-1)),
          message: issue.issues[0]?.message ?? issue.message,
        },
      ]
    case 'invalid_union':
      return unionProblems(issue, path)
    case 'invalid_type':
      return [{ path, message: typeMessage(issue, path) }]
    case 'invalid_value':
      return [
        {
          path,
          message: `unknown action ${JSON.stringify(issue.input)}; the actions are ${ACTIONS.join(', ')}`,
        },
      ]
    default:
      return [{ path, message: issue.message }]
  }
}

function unionProblems(
  issue: z.core.$ZodIssueInvalidUnion,
  path: readonly PropertyKey[],
): readonly ShapeProblem[] {
  const closest = issue.errors.find((issues) => !issues.some(isOfWrongType))
  if (closest !== undefined) return closest.flatMap((inner) => problemsOf(inner, path))
  if (issue.input === undefined) return [{ path, message: `"${String(path.at(-1))}" is missing` }]
  return [{ path, message: mismatch('text or a list', issue.input) }]
}

function isOfWrongType(issue: Issue): boolean {
  return issue.code === 'invalid_type' && issue.path.length === 0
}

function typeMessage(issue: z.core.$ZodIssueInvalidType, path: readonly PropertyKey[]): string {
  const expected = EXPECTED[issue.expected] ?? issue.expected
  if (issue.input !== undefined) return mismatch(expected, issue.input)
  return `"${String(path.at(-1))}" is missing; expected ${expected}`
}

const EXPECTED: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  string: 'text',
}

function mismatch(expected: string, value: unknown): string {
  // YAML reads 1.0 as a number and true as a boolean, not as text.
  const isUnquoted = expected.startsWith('text') && (typeof value === 'number' || typeof value === 'boolean')
  return `expected ${expected}, found ${kindOf(value)}${isUnquoted ? '; put it in quotes' : ''}`
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  return typeof value === 'string' ? `the text ${JSON.stringify(value)}` : JSON.stringify(value)
}
