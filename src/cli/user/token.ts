// Runs `user token add` and `user token revoke`.

import { parseRestriction, type Restriction } from '../../access/restriction.ts'
import { CommandError, ConfigError } from '../../errors/errors.ts'
import { parseAge, type Parsed } from '../../settings/setting-values.ts'
import { nameProblem } from '../../users/htpasswd-line.ts'
import { labelProblem } from '../../users/machine-passwords/machine-password-line.ts'
import {
  createMachinePassword,
  createMachinePasswordId,
  isMachinePasswordId,
  machinePasswordDigest,
} from '../../users/machine-passwords/machine-secret.ts'
import { addMachinePassword, removeMachinePassword } from '../../users/users-file.ts'
import { answer, isoTime, type ListRequest, type UserRequest } from './user-request.ts'
import type { ExitCode, World } from '../../app/world.ts'

export interface AddTokenRequest extends UserRequest {
  /** A duration. */
  readonly expires: string
  /** Actions, separated by commas. */
  readonly allow: string
  /** Patterns; each may be several, separated by commas. None: every repository. */
  readonly repositories: readonly string[]
  /** Empty for none. */
  readonly label: string
}

export interface RevokeTokenRequest extends ListRequest {
  readonly id: string
}

const EVERY_REPOSITORY = '**'

const MAX_DAYS = 3650
const DAY_S = 86_400

export async function addToken(request: AddTokenRequest, world: World): Promise<ExitCode> {
  const { file, name: username, label, clock = Date.now } = request
  const { restriction, seconds } = parseRequest(request)
  const [id, secret, now] = [createMachinePasswordId(), createMachinePassword(), clock()]
  const validUntil = now + seconds * 1000
  const digest = machinePasswordDigest(secret)
  await addMachinePassword(file, { id, username, digest, validUntil, restriction, label }, now)
  const text = [
    `added machine password ${id} for ${username} to ${file}`,
    `allows: ${rightsInWords(restriction)}`,
    `valid until: ${isoTime(validUntil)}`,
    `secret: ${secret}`,
  ]
  const facts = {
    action: 'added',
    id,
    username,
    file,
    label,
    ...restriction,
    validUntil: isoTime(validUntil),
  }
  answer(request, world, { text: text.join('\n'), json: { ...facts, secret } })
  return 0
}

export async function revokeToken(request: RevokeTokenRequest, world: World): Promise<ExitCode> {
  const { file, id, problems = [], clock = Date.now } = request
  if (problems.length > 0) throw new ConfigError(problems)
  // Threat: someone pastes the secret in place of the id. The message must not repeat it.
  if (!isMachinePasswordId(id)) {
    throw new CommandError('this is not the id of a machine password; `user token list` shows the ids')
  }
  await removeMachinePassword(file, id, clock())
  answer(request, world, {
    text: `revoked machine password ${id} in ${file}`,
    json: { action: 'revoked', id, file },
  })
  return 0
}

/** Rights as the commands show them: "pull, push in team/**". */
export function rightsInWords({ allow, repositories }: Restriction): string {
  const where = repositories.includes(EVERY_REPOSITORY) ? 'every repository' : repositories.join(', ')
  return `${allow.join(', ')} in ${where}`
}

interface ParsedRequest {
  readonly restriction: Restriction
  readonly seconds: number
}

function parseRequest(request: AddTokenRequest): ParsedRequest {
  const { name, problems = [], label, expires, allow, repositories } = request
  const age = parseExpiry(expires)
  const patterns =
    repositories.length === 0 ? [EVERY_REPOSITORY] : repositories.flatMap((text) => text.split(','))
  const parsed = parseRestriction(allow.split(','), [...new Set(patterns)])
  const found = [...problems, nameProblem(name), labelProblem(label)].filter((text) => text !== undefined)
  if (!age.ok) found.push(`--expires: ${age.reason}`)
  if (parsed.kind === 'invalid') found.push(...parsed.reasons)
  if (found.length > 0 || !age.ok || parsed.kind === 'invalid') throw new ConfigError(found)
  return { restriction: parsed.restriction, seconds: age.value }
}

function parseExpiry(text: string): Parsed<number> {
  const age = parseAge(text)
  return age.ok && age.value > MAX_DAYS * DAY_S
    ? { ok: false, reason: `"${text}" is too long: at most ${MAX_DAYS}d` }
    : age
}
