// Runs `user token list`.

import { join } from 'node:path'

import { CommandError, errorMessage } from '../../errors/errors.ts'
import { parseHtpasswd } from '../../users/htpasswd.ts'
import { LAST_USED_FILE, readLastUsed, type LastUsedTimes } from '../../users/machine-passwords/last-used.ts'
import type { MachinePassword } from '../../users/user-table.ts'
import { readUsersFile } from '../../users/users-file.ts'
import { rightsInWords } from './token.ts'
import { answer, isoTime, refuseWrongUsage, type ListRequest } from './user-request.ts'
import type { ExitCode, World } from '../../app/world.ts'

export interface ListTokensRequest extends ListRequest {
  /** Absent: all users. */
  readonly name?: string | undefined
  /** The state folder, where the sidecar stores when each machine password was last used. */
  readonly stateDir: string
}

/** Prints the machine passwords and the skipped lines. Never prints a secret or its digest. */
export async function listTokens(request: ListTokensRequest, world: World): Promise<ExitCode> {
  refuseWrongUsage(request)
  const { file, name, stateDir, clock = Date.now } = request
  const now = clock()
  const bytes = await readUsersFile(file)
  if (bytes === undefined) throw new CommandError(`${file} does not exist; \`user add NAME\` creates it`)
  const table = parseHtpasswd(bytes, file, now)
  if (name !== undefined && !table.entries.has(name)) {
    throw new CommandError(`${file} has no usable entry for ${name}; see \`user list\``)
  }
  const times = await timesIn(stateDir, world)
  const tokens = [...table.machinePasswords.values()]
    .filter(({ username }) => name === undefined || username === name)
    .map((password) => listed(password, { times, now }))
  const problems = table.problems.filter(({ kind }) => kind === 'unusable machine password')
  const lines = [
    ...(tokens.length === 0 ? [`no machine passwords in ${file}`] : tokens.map(lineOf)),
    ...problems.map(({ line, reason }) => `skipped: line ${line}: ${reason}`),
  ]
  answer(request, world, { text: lines.join('\n'), json: { file, tokens, problems } })
  return 0
}

interface ListedToken {
  readonly id: string
  readonly username: string
  readonly label: string
  readonly allow: MachinePassword['restriction']['allow']
  readonly repositories: readonly string[]
  readonly validUntil: string
  readonly isExpired: boolean
  /** Null if it is not known. */
  readonly lastUsed: string | null
  readonly line: number
}

function listed(
  { id, username, label, restriction, validUntil, line }: MachinePassword,
  { times, now }: { readonly times: LastUsedTimes; readonly now: number },
): ListedToken {
  const { allow, repositories } = restriction
  const time = times.get(id)
  return {
    id,
    username,
    label,
    allow,
    repositories,
    validUntil: isoTime(validUntil),
    isExpired: now >= validUntil,
    lastUsed: time === undefined ? null : isoTime(time),
    line,
  }
}

function lineOf({ id, username, label, validUntil, isExpired, lastUsed, ...token }: ListedToken): string {
  const fields = [
    id,
    username,
    ...(label === '' ? [] : [`"${label}"`]),
    rightsInWords(token),
    isExpired ? `expired at ${validUntil}` : `valid until ${validUntil}`,
    lastUsed === null ? 'last use unknown' : `last used ${lastUsed}`,
  ]
  return fields.join('  ')
}

async function timesIn(stateDir: string, { stderr }: World): Promise<LastUsedTimes> {
  const file = join(stateDir, LAST_USED_FILE)
  try {
    return await readLastUsed(file)
  } catch (error) {
    stderr.write(`registry-sidecar: the last use is unknown: ${file}: ${errorMessage(error)}\n`)
    return new Map()
  }
}
