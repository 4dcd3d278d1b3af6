// Access rules from YAML text, for tests.

import { createAccessRules, type AccessRules, type Subject } from '../../src/access/access-rules.ts'
import { parseRules } from '../../src/access/rules-file/rules-file.ts'

export function rulesOf(text: string): AccessRules {
  const reading = parseRules(text)
  if (reading.kind === 'problems') throw new Error(JSON.stringify(reading.problems))
  return createAccessRules(reading.file)
}

export function user(username: string): Subject {
  return { kind: 'user', username }
}
