// Runs `user add`, `user passwd` and `user remove`.

import { DEFAULT_COST } from '../../users/htpasswd-line.ts'
import {
  addEntry,
  assertAddable,
  assertChangeable,
  changeEntry,
  removeEntry,
} from '../../users/users-file.ts'
import { askNewPassword, createHash, generatePassword } from './new-password.ts'
import {
  answer,
  isoTime,
  parseKeepOld,
  refuseWrongUsage,
  type ChangeRequest,
  type PasswordRequest,
  type UserRequest,
} from './user-request.ts'
import type { ExitCode, World } from '../../app/world.ts'

// Rules could not name this user, because the name stands for clients without a login there.
const RESERVED_NAME = 'anonymous'
const RESERVED = `"${RESERVED_NAME}" stands for clients without a login in access rules; choose another name`

export async function addUser(request: PasswordRequest, world: World): Promise<ExitCode> {
  const { problems = [], name } = request
  refuseWrongUsage({ ...request, problems: name === RESERVED_NAME ? [...problems, RESERVED] : problems })
  const { file, name: username, clock = Date.now } = request
  await assertAddable(file, username, clock())
  const made = await newPassword(request, world)
  await addEntry(file, { username, hash: made.hash }, clock())
  answer(request, world, {
    text: `added ${username} to ${file}${made.text}`,
    json: { action: 'added', username, file, ...made.json },
  })
  return 0
}

export async function changePassword(request: ChangeRequest, world: World): Promise<ExitCode> {
  refuseWrongUsage(request)
  const { file, name: username, clock = Date.now } = request
  await assertChangeable(file, { username, keepOldUntil: keepOldUntil(request, clock()) }, clock())
  const made = await newPassword(request, world)
  const now = clock()
  const until = keepOldUntil(request, now)
  const change = { username, hash: made.hash, keepOldUntil: until, revokesTokens: request.revokeTokens }
  const tokens = await changeEntry(file, change, now)
  const kept = keptInWords({ until, tokens })
  const keptJson = {
    ...(until === undefined ? {} : { oldPasswordValidUntil: isoTime(until) }),
    ...(tokens === 0 ? {} : { machinePasswordsKept: tokens }),
  }
  answer(request, world, {
    text: `changed the password of ${username} in ${file}${kept}${made.text}`,
    json: { action: 'changed', username, file, ...keptJson, ...made.json },
  })
  return 0
}

export async function removeUser(request: UserRequest, world: World): Promise<ExitCode> {
  refuseWrongUsage(request)
  const { file, name: username, clock = Date.now } = request
  await removeEntry(file, username, clock())
  answer(request, world, {
    text: `removed ${username} from ${file}`,
    json: { action: 'removed', username, file },
  })
  return 0
}

// Threat: an operator changes a password after a leak and overlooks that machine passwords are still valid.
function keptInWords({
  until,
  tokens,
}: {
  readonly until: number | undefined
  readonly tokens: number
}): string {
  const old = until === undefined ? '' : `; the old one stays valid until ${isoTime(until)}`
  if (tokens === 0) return old
  const stay = tokens === 1 ? '1 machine password stays' : `${tokens} machine passwords stay`
  return `${old}; ${stay} valid, and --revoke-tokens would end them`
}

function keepOldUntil({ keepOld }: ChangeRequest, now: number): number | undefined {
  const kept = parseKeepOld(keepOld)
  return kept.ok && kept.value !== undefined ? now + kept.value : undefined
}

interface NewPassword {
  readonly hash: string
  /** The part of the answer that shows a generated password; empty for a typed one. */
  readonly text: string
  readonly json: Readonly<Record<string, string>>
}

async function newPassword(request: PasswordRequest, world: World): Promise<NewPassword> {
  const { name, generate, cost = DEFAULT_COST } = request
  const password = generate ? generatePassword() : await askNewPassword(world, name)
  const hash = createHash(password, cost)
  return generate
    ? { hash, text: `\npassword: ${password}`, json: { password } }
    : { hash, text: '', json: {} }
}
