// Runs `access test`: says whether a user may do something.

import { ANONYMOUS, createAccessRules, type AccessRules, type Question } from '../access/access-rules.ts'
import { isRepositoryAction, type Action } from '../access/actions.ts'
import { readRules, RulesFileError } from '../access/rules-file/read-rules.ts'
import { isRepositoryName } from '../access/repository-name.ts'
import { explain } from '../access/rules-report.ts'
import type { ExitCode, World } from '../app/world.ts'
import { ConfigError, errorCode, errorMessage, InvalidFileError } from '../errors/errors.ts'
import { readRegular } from '../files/regular-file.ts'
import { parseHtpasswd } from '../users/htpasswd.ts'

export interface AccessQuestion {
  /** `anonymous` is the subject, not a user of that name. */
  readonly username: string
  readonly action: Action
  readonly repository: string | undefined
  readonly file: string | undefined
  readonly usersFile: string
  readonly json: boolean
}

/** Resolves to 0 if the rules allow it, else to 1. Rejects with the problems of the rules file. */
export async function testAccess(asked: AccessQuestion, { stdout }: World): Promise<ExitCode> {
  const { username, file, usersFile, json } = asked
  const question = questionOf(asked)
  const subject = username === 'anonymous' ? ANONYMOUS : ({ kind: 'user', username } as const)
  const rules = file === undefined ? undefined : await loadRules(file)
  const explanation = explain(rules, subject, question)
  const isUser = subject.kind === 'user' && (await hasUser(usersFile, username))
  if (json) stdout.write(`${JSON.stringify({ user: username, ...question, file, ...explanation, isUser })}\n`)
  else if (isUser || subject.kind === 'anonymous') stdout.write(`${explanation.message}\n`)
  else stdout.write(`${explanation.message}\nnote: ${usersFile} has no user ${username}\n`)
  return explanation.isAllowed ? 0 : 1
}

function questionOf({ action, repository }: AccessQuestion): Question {
  if (!isRepositoryAction(action)) return { action }
  if (repository === undefined)
    throw new ConfigError([`name the repository: ${action} is allowed per repository`])
  if (!isRepositoryName(repository)) {
    throw new ConfigError([
      `${JSON.stringify(repository)} is not a repository name, as in team/app (without host and tag)`,
    ])
  }
  return { action, repository }
}

async function loadRules(file: string): Promise<AccessRules> {
  try {
    return createAccessRules(await readRules(await readRegular(file)))
  } catch (error) {
    if (error instanceof InvalidFileError) throw error
    if (error instanceof RulesFileError) throw new InvalidFileError(file, error.message, { cause: error })
    throw new InvalidFileError(file, errorCode(error) === 'ENOENT' ? 'is missing' : errorMessage(error))
  }
}

// The answer does not depend on the users file, so an unusable one is no reason to refuse it.
async function hasUser(usersFile: string, username: string): Promise<boolean> {
  try {
    return parseHtpasswd(await readRegular(usersFile), usersFile).entries.has(username)
  } catch {
    return false
  }
}
