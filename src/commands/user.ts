import { randomBytes } from 'node:crypto'

import { hasControlCharacter } from '../auth/basic.ts'
import compare, { hashPassword, isTooLong } from '../auth/bcrypt.ts'
import { DEFAULT_COST, MAX_COST, MIN_COST, nameProblem } from '../auth/htpasswd-line.ts'
import { parseHtpasswd, type UserTable } from '../auth/htpasswd.ts'
import {
  addEntry,
  changeEntry,
  hasUser,
  readUsersFile,
  removeEntry,
  userExists,
  userUnknown,
  type NewEntry,
} from '../auth/users-file.ts'
import { CommandError, ConfigError } from '../errors.ts'
import { askPassword } from './ask-password.ts'
import type { ExitCode, World } from './world.ts'

export interface ListRequest {
  /** The users file. */
  readonly file: string
  /** One JSON document on stdout instead of text. */
  readonly json: boolean
}

export interface UserRequest extends ListRequest {
  readonly name: string
}

export interface PasswordRequest extends UserRequest {
  /** Make a password and print it, instead of asking for one. */
  readonly generate: boolean
  /** bcrypt's work factor; DEFAULT_COST if absent. */
  readonly cost?: number | undefined
}

// 24 characters out of 62 are 142 bits.
const GENERATED_LENGTH = 24
const BASE62 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** `user add`: 0, or a CommandError that says why not. */
export async function addUser(request: PasswordRequest, world: World): Promise<ExitCode> {
  refuseWrongUsage(request)
  const { file, name } = request
  // Asked before the person types a password for nothing; the edit itself looks again, under its lock.
  if (await hasUser(file, name)) throw userExists(file, name)
  return setPassword(request, world, { edit: addEntry, done: 'added' })
}

/** `user passwd`: 0, or a CommandError that says why not. */
export async function changePassword(request: PasswordRequest, world: World): Promise<ExitCode> {
  refuseWrongUsage(request)
  const { file, name } = request
  if (!(await hasUser(file, name))) throw userUnknown(file, name)
  return setPassword(request, world, { edit: changeEntry, done: 'changed' })
}

/** `user remove`: 0, or a CommandError that says why not. */
export async function removeUser({ file, name, json }: UserRequest, world: World): Promise<ExitCode> {
  refuseWrongUsage({ name })
  await removeEntry(file, name)
  const result = { action: 'removed', username: name, file }
  print(world, json ? JSON.stringify(result) : `removed ${name} from ${file}`)
  return 0
}

/** `user list`: the users with line and cost, and the lines that were skipped with the reason. Never a hash. */
export async function listUsers({ file, json }: ListRequest, world: World): Promise<ExitCode> {
  const { entries, problems } = await loadTable(file)
  const users = Array.from(entries.values(), ({ username, line, cost }) => ({ username, line, cost }))
  if (json) {
    print(world, JSON.stringify({ file, users, problems }))
    return 0
  }
  if (users.length === 0) print(world, `no users in ${file}`)
  for (const { username, line, cost } of users) print(world, `${username}  line ${line}, cost ${cost}`)
  for (const { line, reason } of problems) print(world, `skipped: line ${line}: ${reason}`)
  return 0
}

/** `user verify`: 0 if the password is the user's, 1 if it is not. A CommandError if there is no such user. */
export async function verifyUser({ file, name, json }: UserRequest, world: World): Promise<ExitCode> {
  refuseWrongUsage({ name })
  const entry = (await loadTable(file)).entries.get(name)
  if (entry === undefined)
    throw new CommandError(`${file} has no usable entry for ${name}; see \`user list\``)
  const password = await askPassword(world, [`Password of ${name}`])
  if (password === '') throw new CommandError('the password is empty')
  // The sidecar refuses what has a problem without looking at the hash.
  const possible = passwordProblem(password) === undefined
  const matches = possible && compare({ password, hash: entry.hash, decoys: [] })
  const text = matches ? 'matches' : 'does not match'
  print(world, json ? JSON.stringify({ username: name, file, matches }) : text)
  return matches ? 0 : 1
}

interface Edit {
  readonly edit: (file: string, entry: NewEntry) => Promise<void>
  readonly done: 'added' | 'changed'
}

async function setPassword(request: PasswordRequest, world: World, { edit, done }: Edit): Promise<ExitCode> {
  const { file, name: username, generate, json, cost = DEFAULT_COST } = request
  const password = generate ? generatePassword() : await askNewPassword(world, username)
  await edit(file, { username, hash: createHash(password, cost) })
  if (json) {
    print(world, JSON.stringify({ action: done, username, file, ...(generate ? { password } : {}) }))
    return 0
  }
  const added = done === 'added'
  print(world, added ? `added ${username} to ${file}` : `changed the password of ${username} in ${file}`)
  if (generate) print(world, `password: ${password}`)
  return 0
}

async function askNewPassword(world: World, username: string): Promise<string> {
  const password = await askPassword(world, [`New password for ${username}`, 'The same again'])
  const problem = passwordProblem(password)
  if (problem !== undefined) throw new CommandError(`${problem}; nothing was changed`)
  return password
}

function passwordProblem(password: string): string | undefined {
  if (password === '') return 'the password is empty'
  if (hasControlCharacter(password)) return 'the password holds a control character'
  return isTooLong(password) ? 'the password is longer than 72 bytes, and bcrypt ignores the rest' : undefined
}

// The same algorithm under the name that Apache gives it: not every build of its htpasswd knows $2b$.
function createHash(password: string, cost: number): string {
  return hashPassword(password, cost).replace(/^\$2b\$/, '$2y$$')
}

function generatePassword(): string {
  let password = ''
  while (password.length < GENERATED_LENGTH) {
    // Bytes from 248 up are dropped: 256 is no multiple of 62, and the first letters would come up more often.
    const fair = randomBytes(GENERATED_LENGTH).filter((byte) => byte < BASE62.length * 4)
    password += Array.from(fair, (byte) => BASE62.charAt(byte % BASE62.length)).join('')
  }
  return password.slice(0, GENERATED_LENGTH)
}

function refuseWrongUsage({ name, cost = DEFAULT_COST }: Pick<PasswordRequest, 'name' | 'cost'>): void {
  const problems: string[] = []
  const badName = nameProblem(name)
  if (badName !== undefined) problems.push(badName)
  if (!Number.isInteger(cost) || cost < MIN_COST || cost > MAX_COST) {
    problems.push(`--cost is a whole number from ${MIN_COST} to ${MAX_COST}`)
  }
  if (problems.length > 0) throw new ConfigError(problems)
}

async function loadTable(file: string): Promise<UserTable> {
  const bytes = await readUsersFile(file)
  if (bytes === undefined) throw new CommandError(`${file} does not exist; \`user add NAME\` makes it`)
  return parseHtpasswd(bytes, file)
}

function print({ stdout }: World, line: string): void {
  stdout.write(`${line}\n`)
}
