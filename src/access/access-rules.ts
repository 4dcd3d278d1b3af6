// Decides whether access rules allow an action.

import { compileGlob, splitName, type SplitName } from './glob.ts'
import { appendTo, createRuleIndex, type NumberedRule, type RuleIndex } from './rule-index.ts'
import type { Rule, RulesFile } from './rules-file/rules-file.ts'
import { isRepositoryAction, type Action } from './actions.ts'

/** A username can also be `anonymous` or `@ci`, so only `kind` says which subject is anonymous. */
export type Subject = { readonly kind: 'anonymous' } | { readonly kind: 'user'; readonly username: string }

export const ANONYMOUS: Subject = { kind: 'anonymous' }

export interface Question {
  readonly action: Action
  /** Ignored for `catalog` and `status`, which concern the registry as a whole. */
  readonly repository?: string
}

export type Decision =
  { readonly kind: 'allowed'; readonly rule: number; readonly line: number } | { readonly kind: 'denied' }

export interface AccessRules {
  readonly file: RulesFile
  readonly decide: (subject: Subject, question: Question) => Decision
  readonly hasRules: (subject: Subject) => boolean
  readonly isImmutable: (repository: string, tag: string) => boolean
  readonly hasImmutableTags: (repository: string) => boolean
}

const DENIED: Decision = { kind: 'denied' }

export function createAccessRules(file: RulesFile): AccessRules {
  const rulesFor = createDirectory(file)
  const frozen = file.immutable.map(({ repositories, tags }) => ({
    repositories: repositories.map(compileGlob),
    tags: tags.map(compileGlob),
  }))
  const frozenIn = (repository: SplitName) =>
    frozen.filter(({ repositories }) => repositories.some((matches) => matches(repository)))

  return {
    file,
    decide: (subject, { action, repository = '' }) => {
      const name = isRepositoryAction(action) ? splitName(repository) : undefined
      let first: number | undefined
      for (const { onRepositories, onRegistry } of rulesFor(subject)) {
        const found = name === undefined ? onRegistry.get(action) : onRepositories.firstFor(action, name)
        if (found !== undefined && (first === undefined || found < first)) first = found
      }
      const rule = first === undefined ? undefined : file.rules[first - 1]
      return first === undefined || rule === undefined
        ? DENIED
        : { kind: 'allowed', rule: first, line: rule.line }
    },
    hasRules: (subject) => rulesFor(subject).length > 0,
    isImmutable: (repository, tag) => {
      if (isFallbackTag(tag)) return false
      const name = splitName(tag)
      return frozenIn(splitName(repository)).some(({ tags }) => tags.some((matches) => matches(name)))
    },
    hasImmutableTags: (repository) => frozenIn(splitName(repository)).length > 0,
  }
}

// Clients change these tags with every signature (OCI distribution specification 1.1, "Referrers Tag Schema"; cosign).
// `release-<hex>` is an ordinary tag, so the algorithms are listed.
const FALLBACK_TAG = /^sha(?:256|384|512)-[0-9a-f]{64}(?:\.[a-z]+)?$/

function isFallbackTag(tag: string): boolean {
  return FALLBACK_TAG.test(tag)
}

interface WhoRules {
  readonly onRepositories: RuleIndex
  readonly onRegistry: ReadonlyMap<Action, number>
}

// A rule for 10,000 names in 10,000 repositories must not become 100,000,000 entries.
// A user may do all that anonymous may do. Otherwise people would have to log out to pull a public image.
function createDirectory({ groups, rules }: RulesFile): (subject: Subject) => readonly WhoRules[] {
  const byName = rulesByName(rules)
  const groupsOf = new Map<string, string[]>()
  for (const { name, members } of groups) {
    for (const member of new Set(members.map((mention) => mention.name)))
      appendTo(groupsOf, member, `@${name}`)
  }
  const anonymous = byName.get('anonymous') ?? []
  const everyone = [...anonymous, ...(byName.get('*') ?? [])]
  return (subject) => {
    if (subject.kind === 'anonymous') return anonymous
    const { username } = subject
    const own = isUsername(username) ? (byName.get(username) ?? []) : []
    const throughGroups = (groupsOf.get(username) ?? []).flatMap((group) => byName.get(group) ?? [])
    return [...everyone, ...own, ...throughGroups]
  }
}

function rulesByName(rules: readonly Rule[]): ReadonlyMap<string, readonly WhoRules[]> {
  const byWho = new Map<string, NumberedRule[]>()
  for (const [index, rule] of rules.entries()) {
    const names = new Set(rule.who.map(({ name }) => name).toSorted())
    appendTo(byWho, [...names].join(SEPARATOR), { ...rule, number: index + 1 })
  }
  const byName = new Map<string, WhoRules[]>()
  for (const [who, own] of byWho) {
    const indexed = indexRules(own)
    for (const name of who.split(SEPARATOR)) appendTo(byName, name, indexed)
  }
  return byName
}

// The schema rejects names that contain a colon.
const SEPARATOR = ':'

function indexRules(rules: readonly NumberedRule[]): WhoRules {
  const onRegistry = new Map<Action, number>()
  for (const { number, allow } of rules) {
    for (const action of allow) {
      if (!isRepositoryAction(action) && !onRegistry.has(action)) onRegistry.set(action, number)
    }
  }
  return { onRepositories: createRuleIndex(rules), onRegistry }
}

export function isUsername(name: string): boolean {
  return !name.startsWith('@') && name !== '*' && name !== 'anonymous'
}
