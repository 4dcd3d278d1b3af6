// Checks the rules file that the settings name.

import { createAccessRules, type AccessRules } from '../../access/access-rules.ts'
import { readRules, RulesFileError } from '../../access/rules-file/read-rules.ts'
import {
  rulesForNobody,
  surprisingRules,
  unknownUsers,
  usersWithoutRights,
} from '../../access/rules-report.ts'
import { errorCode, errorMessage } from '../../errors/errors.ts'
import { readRegular } from '../../files/regular-file.ts'
import type { Config } from '../../settings/config.ts'
import { parseHtpasswd } from '../../users/htpasswd.ts'
import type { Finding } from './finding.ts'

const part = 'access'

/** Finds nothing when the settings name no rules file. */
export async function checkAccess({ access: file, users }: Config): Promise<readonly Finding[]> {
  if (file === undefined) return []
  try {
    const rules = createAccessRules(await readRules(await readRegular(file)))
    const text = `${rules.file.rules.length} rules in ${file}`
    return [{ level: 'ok', part, text }, ...(await notesOn(rules, { file, users }))]
  } catch (error) {
    if (error instanceof RulesFileError) {
      return error.problems.map(({ line, column, message }) => ({
        level: 'problem',
        part,
        text: `${file}:${line}:${column}: ${message}`,
      }))
    }
    const text = errorCode(error) === 'ENOENT' ? `${file} does not exist` : errorMessage(error)
    return [{ level: 'problem', part, text, hint: 'docs/access.md shows how to write it' }]
  }
}

const MAX_LISTED = 20

async function notesOn(
  rules: AccessRules,
  { file, users }: { readonly file: string; readonly users: string },
): Promise<readonly Finding[]> {
  const known = await usernamesIn(users)
  const aboutUsers =
    known === undefined ? [] : [...unknownUsers(rules.file, known), ...rulesForNobody(rules.file, known)]
  const notes = [...aboutUsers, ...surprisingRules(rules.file)].map(({ line, column, message }): Finding => ({
    level: 'note',
    part,
    text: `${file}:${line}:${column}: ${message}`,
  }))
  const without = usersWithoutRights(rules, known ?? [])
  if (without.length === 0) return notes
  const more = without.length > MAX_LISTED ? `, and ${without.length - MAX_LISTED} more` : ''
  const text = `users without any right: ${without.slice(0, MAX_LISTED).join(', ')}${more}`
  return [
    ...notes,
    { level: 'note', part, text, hint: `allow these users something in ${file}, or remove them` },
  ]
}

/** Undefined if the users file cannot be read. Another finding of `check` reports this problem. */
async function usernamesIn(file: string): Promise<ReadonlySet<string> | undefined> {
  try {
    return new Set(parseHtpasswd(await readRegular(file), file).entries.keys())
  } catch {
    return undefined
  }
}
