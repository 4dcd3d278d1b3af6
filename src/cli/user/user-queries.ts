// Runs `user list` and `user verify`.

import compare from '../../auth/bcrypt.ts'
import { parseHtpasswd } from '../../users/htpasswd.ts'
import { hashesAt, type Entry, type UserTable } from '../../users/user-table.ts'
import { isMachinePassword, machinePasswordDigest } from '../../users/machine-passwords/machine-secret.ts'
import { readUsersFile } from '../../users/users-file.ts'
import { CommandError } from '../../errors/errors.ts'
import { askPassword } from './ask-password.ts'
import { passwordProblem } from './new-password.ts'
import { answer, isoTime, refuseWrongUsage, type ListRequest, type UserRequest } from './user-request.ts'
import type { ExitCode, World } from '../../app/world.ts'

/** Never prints a hash. */
export async function listUsers(request: ListRequest, world: World): Promise<ExitCode> {
  refuseWrongUsage(request)
  const { file } = request
  const { entries, problems } = await loadTable(request)
  const users = Array.from(entries.values(), userOf)
  const lines = [
    ...(users.length === 0 ? [`no users in ${file}`] : users.flatMap(linesOf)),
    ...problems.map(({ line, reason }) => `skipped: line ${line}: ${reason}`),
  ]
  answer(request, world, { text: lines.join('\n'), json: { file, users, problems } })
  return 0
}

/** Resolves to 0 for the current password or a valid old one, else to 1. */
export async function verifyUser(request: UserRequest, world: World): Promise<ExitCode> {
  refuseWrongUsage(request)
  const { file, name: username, clock = Date.now } = request
  const table = await loadTable(request)
  const entry = table.entries.get(username)
  if (entry === undefined)
    throw new CommandError(`${file} has no usable entry for ${username}; see \`user list\``)
  const password = await askPassword(world, [`Password of ${username}`])
  if (password === '') throw new CommandError('the password is empty')
  if (isMachinePassword(password)) return verifyMachinePassword(request, world, { table, password })
  const { matches, validUntil } = match(entry, password, clock())
  const old = validUntil === undefined ? {} : { oldPasswordValidUntil: isoTime(validUntil) }
  const which = validUntil === undefined ? '' : ` an old password, valid until ${isoTime(validUntil)}`
  answer(request, world, {
    text: matches ? `matches${which}` : 'does not match',
    json: { username, file, matches, ...old },
  })
  return matches ? 0 : 1
}

// The sidecar compares such a password with machine passwords only.
function verifyMachinePassword(
  request: UserRequest,
  world: World,
  { table, password }: { readonly table: UserTable; readonly password: string },
): ExitCode {
  const { file, name: username, clock = Date.now } = request
  const found = table.machinePasswords.get(machinePasswordDigest(password))
  const own = found?.username === username ? found : undefined
  const matches = own !== undefined && clock() < own.validUntil
  const facts = own === undefined ? {} : { machinePassword: own.id, validUntil: isoTime(own.validUntil) }
  const until = own === undefined ? '' : isoTime(own.validUntil)
  const expired = own === undefined ? '' : `; machine password ${own.id} expired at ${until}`
  answer(request, world, {
    text: matches ? `matches machine password ${own.id}, valid until ${until}` : `does not match${expired}`,
    json: { username, file, matches, ...facts },
  })
  return matches ? 0 : 1
}

interface Match {
  readonly matches: boolean
  /** Only for an old password. */
  readonly validUntil?: number | undefined
}

function match(entry: Entry, password: string, now: number): Match {
  // The sidecar rejects such a password without a bcrypt check.
  if (passwordProblem(password) !== undefined) return { matches: false }
  const hashes = hashesAt(entry, now)
  const index = compare({ password, hashes, dummyHashes: [] })
  const old = index > 0 ? entry.previous.find(({ hash }) => hash === hashes[index]) : undefined
  return { matches: index >= 0, validUntil: old?.validUntil }
}

interface ListedUser {
  readonly username: string
  readonly line: number
  readonly cost: number
  readonly oldPasswords: readonly {
    readonly line: number
    readonly cost: number
    readonly validUntil: string
  }[]
}

function userOf({ username, line, cost, previous }: Entry): ListedUser {
  const oldPasswords = previous.map((old) => ({
    line: old.line,
    cost: old.cost,
    validUntil: isoTime(old.validUntil),
  }))
  return { username, line, cost, oldPasswords }
}

function linesOf({ username, line, cost, oldPasswords }: ListedUser): readonly string[] {
  return [
    `${username}  line ${line}, cost ${cost}`,
    ...oldPasswords.map(
      (old) => `  old password valid until ${old.validUntil}, line ${old.line}, cost ${old.cost}`,
    ),
  ]
}

async function loadTable({ file, clock = Date.now }: ListRequest): Promise<UserTable> {
  const bytes = await readUsersFile(file)
  if (bytes === undefined) throw new CommandError(`${file} does not exist; \`user add NAME\` creates it`)
  return parseHtpasswd(bytes, file, clock())
}
