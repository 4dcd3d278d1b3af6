// Lists in words what the access rules allow one user.

import { isUsername } from './access-rules.ts'
import type { Rule, RulesFile } from './rules-file/rules-file.ts'

const MAX_LISTED = 20

/** As in the rules file: `pull, push: team/**`. */
export function rightsOfUser({ groups, rules }: RulesFile, username: string): readonly string[] {
  const names = new Set(['anonymous', '*'])
  if (isUsername(username)) names.add(username)
  for (const { name, members } of groups) {
    if (members.some((member) => member.name === username)) names.add(`@${name}`)
  }
  const own = rules.filter(({ who }) => who.some(({ name }) => names.has(name)))
  const listed = own.slice(0, MAX_LISTED).map(inWords)
  return own.length > MAX_LISTED ? [...listed, `and ${own.length - MAX_LISTED} more rules`] : listed
}

const MAX_PATTERNS = 5

function inWords({ allow, repositories }: Rule): string {
  if (repositories.length === 0) return allow.join(', ')
  const patterns = repositories.slice(0, MAX_PATTERNS).join(', ')
  const more = repositories.length > MAX_PATTERNS ? ` and ${repositories.length - MAX_PATTERNS} more` : ''
  return `${allow.join(', ')}: ${patterns}${more}`
}
