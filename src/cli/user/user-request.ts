// Defines the requests and answers of the `user` commands.

import { DEFAULT_COST, MAX_COST, MIN_COST, nameProblem } from '../../users/htpasswd-line.ts'
import { ConfigError } from '../../errors/errors.ts'
import { parseDuration, type Parsed } from '../../settings/setting-values.ts'
import type { World } from '../../app/world.ts'

export interface ListRequest {
  readonly file: string
  readonly json: boolean
  /** Problems of the settings, which are reported with those of the request. */
  readonly problems?: readonly string[] | undefined
  /** Milliseconds since 1970. */
  readonly clock?: (() => number) | undefined
}

export interface UserRequest extends ListRequest {
  readonly name: string
}

export interface PasswordRequest extends UserRequest {
  readonly generate: boolean
  readonly cost?: number | undefined
}

export interface ChangeRequest extends PasswordRequest {
  /** A duration; absent or 0: the old password becomes invalid at once. */
  readonly keepOld?: string | undefined
  /** The machine passwords of the user end too. */
  readonly revokeTokens?: boolean | undefined
}

type AnyRequest = ListRequest & {
  readonly [Field in 'name' | 'cost' | 'keepOld']?: ChangeRequest[Field] | undefined
}

/** Throws a ConfigError with every problem of the request at once. */
export function refuseWrongUsage({ problems = [], name, cost = DEFAULT_COST, keepOld }: AnyRequest): void {
  const found = [...problems]
  const invalidName = name === undefined ? undefined : nameProblem(name)
  if (invalidName !== undefined) found.push(invalidName)
  if (!Number.isInteger(cost) || cost < MIN_COST || cost > MAX_COST) {
    found.push(`--cost must be a whole number from ${MIN_COST} to ${MAX_COST}`)
  }
  const kept = parseKeepOld(keepOld)
  if (!kept.ok) found.push(`--keep-old: ${kept.reason}`)
  if (found.length > 0) throw new ConfigError(found)
}

/** Milliseconds; undefined if the old password becomes invalid at once. */
export function parseKeepOld(text: string | undefined): Parsed<number | undefined> {
  return text === undefined || /^0(?:ms|s|m|h|d)?$/.test(text)
    ? { ok: true, value: undefined }
    : parseDuration(text)
}

export interface Answer {
  readonly text: string
  readonly json: Readonly<Record<string, unknown>>
}

export function answer(request: ListRequest, { stdout }: World, { text, json }: Answer): void {
  stdout.write(`${request.json ? JSON.stringify(json) : text}\n`)
}

export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
