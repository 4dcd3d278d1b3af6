// Finds rules that probably do not do what their author meant.

import { isUsername, type AccessRules, type Question, type Subject } from './access-rules.ts'
import { inWords, nameOf } from './authorization.ts'
import type { Mention, RulesFile } from './rules-file/rules-file.ts'
import { isRepositoryAction } from './actions.ts'
import type { Place, Problem } from './rules-file/yaml-text.ts'

export type Usernames = Pick<ReadonlySet<string>, 'has'>

/** The rules stay valid, because users come and go. */
export function unknownUsers({ groups, rules }: RulesFile, known: Usernames): readonly Problem[] {
  const isUnknown = ({ name }: Mention): boolean => isUsername(name) && !known.has(name)
  const inGroups = groups.flatMap(({ name: group, members }) =>
    members.filter(isUnknown).map((mention) => ({
      ...placeOf(mention),
      message: `group "${group}" names user "${mention.name}", who is not in the users file`,
    })),
  )
  const inRules = rules.flatMap(({ who }) =>
    who.filter(isUnknown).map((mention) => ({
      ...placeOf(mention),
      message: `user "${mention.name}" is not in the users file`,
    })),
  )
  return [...inGroups, ...inRules]
}

export function rulesForNobody({ groups, rules }: RulesFile, known: Usernames): readonly Problem[] {
  const inhabited = new Set(
    groups.filter(({ members }) => members.some(({ name }) => known.has(name))).map(({ name }) => `@${name}`),
  )
  return rules.flatMap((rule, index) => {
    const isForSomebody = rule.who.some(({ name }) =>
      isUsername(name) ? known.has(name) : !name.startsWith('@') || inhabited.has(name),
    )
    return isForSomebody
      ? []
      : [{ ...placeOf(rule), message: `rule ${index + 1} is for nobody in the users file` }]
  })
}

export function usersWithoutRights(rules: AccessRules, known: Iterable<string>): readonly string[] {
  return [...known].filter((username) => !rules.hasRules({ kind: 'user', username }))
}

export function surprisingRules({ rules }: RulesFile): readonly Problem[] {
  return rules.flatMap((rule, index) => {
    const { who, repositories, allow } = rule
    const messages: string[] = []
    const rest = allow.filter((action) => action !== 'pull')
    if (who.some(({ name }) => name === 'anonymous') && rest.length > 0) {
      messages.push(`rule ${index + 1} allows ${rest.join(', ')} without login`)
    }
    const whole = allow.filter((action) => !isRepositoryAction(action))
    if (whole.length > 0 && repositories.length > 0 && !repositories.includes('**')) {
      messages.push(
        `rule ${index + 1} allows ${whole.join(', ')} for the whole registry; "repositories" does not limit it`,
      )
    }
    return messages.map((message) => ({ ...placeOf(rule), message }))
  })
}

export interface Explanation {
  readonly isAllowed: boolean
  readonly rule?: number
  readonly line?: number
  readonly message: string
}

export function explain(rules: AccessRules | undefined, subject: Subject, question: Question): Explanation {
  const sentence = (may: 'may' | 'may not'): string => `${nameOf(subject)} ${may} ${inWords(question)}`
  if (rules === undefined) {
    return subject.kind === 'user'
      ? { isAllowed: true, message: `${sentence('may')}: without a rules file, every user may do everything` }
      : { isAllowed: false, message: `${sentence('may not')}: without a rules file, everyone must log in` }
  }
  const decision = rules.decide(subject, question)
  if (decision.kind === 'denied')
    return { isAllowed: false, message: `${sentence('may not')}: no rule allows it` }
  const { rule, line } = decision
  return { isAllowed: true, rule, line, message: `${sentence('may')}: rule ${rule}, line ${line}` }
}

const MAX_PLACES = 10

/** Threat: messages repeat usernames and repositories of the file, and /readyz needs no login. Places do not. */
export function placesOf(problems: readonly Place[]): string {
  const listed = problems.slice(0, MAX_PLACES).map(({ line, column }) => `line ${line}, column ${column}`)
  const more = problems.length - listed.length
  return listed.join('; ') + (more > 0 ? `; and ${more} more` : '')
}

function placeOf({ line, column }: Place): Place {
  return { line, column }
}
