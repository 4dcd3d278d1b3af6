// Limits one login to some actions and repositories.

import type { Question } from './access-rules.ts'
import type { Rights } from './authorization.ts'
import { compileGlob, repositoryPatternProblem, splitName } from './glob.ts'
import { ACTIONS, isRepositoryAction, type Action } from './actions.ts'

export interface Restriction {
  readonly allow: readonly Action[]
  /** Patterns. They do not limit actions that concern the registry as a whole. */
  readonly repositories: readonly string[]
}

export interface CompiledRestriction extends Restriction {
  readonly allows: (question: Question) => boolean
}

export type ParsedRestriction =
  | { readonly kind: 'restriction'; readonly restriction: Restriction }
  | { readonly kind: 'invalid'; readonly reasons: readonly string[] }

// Each request compares its repository with every pattern.
const MAX_PATTERNS = 20

export function parseRestriction(
  actions: readonly string[],
  repositories: readonly string[],
): ParsedRestriction {
  const allow = ACTIONS.filter((action) => actions.includes(action))
  const reasons = [
    ...actions
      .filter((text) => !ACTIONS.some((action) => action === text))
      .map((text) => `unknown action ${JSON.stringify(text)}; the actions are ${ACTIONS.join(', ')}`),
    ...repositories.flatMap((pattern) => {
      const problem = pattern === '' ? 'the pattern is empty' : repositoryPatternProblem(pattern)
      return problem === undefined ? [] : [`${JSON.stringify(pattern)}: ${problem}`]
    }),
  ]
  if (actions.length === 0) reasons.push('the list of actions is empty')
  if (repositories.length === 0) reasons.push('the list of repositories is empty')
  if (repositories.length > MAX_PATTERNS) reasons.push(`at most ${MAX_PATTERNS} patterns are possible`)
  return reasons.length > 0
    ? { kind: 'invalid', reasons }
    : { kind: 'restriction', restriction: { allow, repositories } }
}

/** Expects valid patterns. */
export function compileRestriction({ allow, repositories }: Restriction): CompiledRestriction {
  const matchers = repositories.map(compileGlob)
  return {
    allow,
    repositories,
    allows: ({ action, repository = '' }) => {
      if (!allow.includes(action)) return false
      if (!isRepositoryAction(action)) return true
      const name = splitName(repository)
      return matchers.some((matches) => matches(name))
    },
  }
}

export function restrict(rights: Rights, restriction: CompiledRestriction): Rights {
  return (question) => restriction.allows(question) && (rights === 'everything' || rights(question))
}
