// Loads and follows the rules file.

import { InvalidFileError } from '../errors/errors.ts'
import { loadAndFollow, type Following, type FollowOptions } from '../files/followed-file.ts'
import { createReloadable } from '../files/reloadable.ts'
import type { Loads, ValueState } from '../files/value-in-force.ts'
import type { Log } from '../observability/log.ts'
import { createAccessRules, type AccessRules } from './access-rules.ts'
import {
  createRulesReader,
  RulesFileError,
  RulesLimitError,
  type RulesReader,
} from './rules-file/read-rules.ts'
import { placesOf, surprisingRules, unknownUsers, type Usernames } from './rules-report.ts'

export interface RulesInForce extends Following {
  readonly current: AccessRules
  readonly state: ValueState
  readonly loads: Loads
}

export interface RulesInForceOptions extends FollowOptions {
  readonly usernames: () => Usernames | undefined
  readonly reader?: RulesReader
}

/** Rejects with InvalidFileError when the file is unusable, because at start there are no earlier rules to keep. */
export async function loadRules({
  file,
  pollMs,
  log,
  usernames,
  reader = createRulesReader(),
}: RulesInForceOptions): Promise<RulesInForce> {
  const rules = createReloadable<AccessRules | undefined>({
    file,
    parse: (bytes) => parse(bytes, { file, reader }),
    initial: undefined,
    log,
    logChange: (next) => {
      logRules(log, { file, rules: loaded(next), usernames: usernames() })
    },
  })
  const following = await loadAndFollow(rules, { file, pollMs, log }).catch(async (error: unknown) => {
    await reader.close()
    throw error
  })
  return {
    get current() {
      return loaded(rules.current)
    },
    get state() {
      return rules.state
    },
    loads: rules.loads,
    reload: () => following.reload(),
    async close() {
      await following.close()
      await reader.close()
    },
  }
}

interface ParseContext {
  readonly file: string
  readonly reader: RulesReader
}

async function parse(bytes: Buffer, { file, reader }: ParseContext): Promise<AccessRules> {
  try {
    return createAccessRules(await reader.read(bytes))
  } catch (error) {
    if (!(error instanceof RulesFileError) || error instanceof RulesLimitError) throw error
    throw new InvalidFileError(file, error.message, {
      cause: error,
      publicReason: `problems at ${placesOf(error.problems)}`,
    })
  }
}

function loaded(rules: AccessRules | undefined): AccessRules {
  if (rules === undefined) throw new Error('the rules file is not loaded')
  return rules
}

interface LoggedRules {
  readonly file: string
  readonly rules: AccessRules
  readonly usernames: Usernames | undefined
}

const MAX_WARNINGS = 20

function logRules(log: Log, { file, rules, usernames }: LoggedRules): void {
  const { groups, rules: all, immutable } = rules.file
  log.info(
    {
      event: 'access-rules-loaded',
      file,
      rules: all.length,
      groups: groups.length,
      immutable: immutable.length,
    },
    'access rules in force',
  )
  const unknown = usernames === undefined ? [] : unknownUsers(rules.file, usernames)
  const warnings = [...unknown, ...surprisingRules(rules.file)]
  for (const { line, column, message } of warnings.slice(0, MAX_WARNINGS))
    log.warn({ event: 'access-rule-surprising', file, line, column }, message)
  const more = warnings.length - MAX_WARNINGS
  if (more > 0)
    log.warn(
      { event: 'more-access-rules-surprising', file, more },
      'more warnings about the access rules; `check` lists them',
    )
}
