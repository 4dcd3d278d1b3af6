// Defines the user table: what a users file says.

import type { ProblemKind } from './htpasswd-line.ts'
import type { CompiledRestriction } from '../access/restriction.ts'

export interface PreviousHash {
  readonly hash: string
  readonly cost: number
  /** Milliseconds since 1970. From then on it no longer matches. */
  readonly validUntil: number
  readonly line: number
}

/** Lines count from 1. */
export interface Entry {
  readonly username: string
  readonly hash: string
  readonly cost: number
  readonly line: number
  readonly previous: readonly PreviousHash[]
}

/** The reason may name a user, but contains no hash and no possible password. */
export interface Problem {
  readonly line: number
  readonly kind: ProblemKind
  readonly reason: string
}

export interface MachinePassword {
  readonly id: string
  readonly username: string
  readonly label: string
  /** Milliseconds since 1970. From then on it is refused. */
  readonly validUntil: number
  readonly restriction: CompiledRestriction
  readonly line: number
}

/** By `machinePasswordDigest`. Also holds expired ones, so that the log can say why they are refused. */
export type MachinePasswords = ReadonlyMap<string, MachinePassword>

export interface UserTable {
  readonly entries: ReadonlyMap<string, Entry>
  readonly machinePasswords: MachinePasswords
  readonly problems: readonly Problem[]
  /** bcrypt strings that no password matches. Refusals compute them, so that all take equally long. */
  readonly dummyHashes: readonly string[]
}

/** The present hash comes first. */
export function hashesAt({ hash, previous }: Entry, now: number): readonly string[] {
  return [hash, ...previous.filter(({ validUntil }) => now < validUntil).map((old) => old.hash)]
}
