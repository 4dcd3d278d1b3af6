// Checks the token of a request against the users in force.

import type { Throttle } from '../auth/throttle.ts'
import { hashesAt, type MachinePassword, type UserTable } from '../users/user-table.ts'
import type { SignedTokens, TokenHolder } from './signed-tokens.ts'

/** The reasons are for the log; a client must not see them. */
export type TokenVerdict =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'user'
      readonly username: string
      readonly isOldPassword: boolean
      /** Restricts what this request may do. Set if the token was issued for a machine password. */
      readonly machinePassword?: MachinePassword
      /** Milliseconds since 1970. */
      readonly validUntil: number
    }
  /** The token was valid once, so this is no guess. */
  | { readonly kind: 'ended'; readonly reason: string }
  | { readonly kind: 'wrong'; readonly reason: string }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }

export interface TokenVerifier {
  verify(token: string, source: string): Promise<TokenVerdict>
}

export interface TokenVerifierParts {
  readonly tokens: Pick<SignedTokens, 'read' | 'fingerprintOf'>
  readonly table: () => UserTable
  readonly throttle: Throttle
  /** Milliseconds since 1970. Used to decide whether an old or machine password has expired. */
  readonly now?: (() => number) | undefined
}

// Wrong tokens have no known user, and no user has this name.
const NO_NAME = ''

export function createTokenVerifier({
  tokens,
  table,
  throttle,
  now = Date.now,
}: TokenVerifierParts): TokenVerifier {
  return {
    verify: async (token, source) => {
      const read = await tokens.read(token)
      switch (read.kind) {
        case 'valid':
          return verdictOn(read.holder, read.validUntil)
        case 'expired':
          return { kind: 'ended', reason: 'token expired' }
        // The throttle refuses only wrong tokens, because nobody can guess a valid token of 256 bits.
        case 'wrong': {
          const login = { source, username: NO_NAME }
          const retryAfterMs = throttle.retryAfterMs(login)
          if (retryAfterMs > 0) return { kind: 'throttled', retryAfterMs }
          throttle.failed(login)
          return read
        }
      }
    },
  }

  function verdictOn(holder: TokenHolder, validUntil: number): TokenVerdict {
    if (holder.kind === 'anonymous') return holder
    const { username, machinePassword } = holder
    const entry = table().entries.get(username)
    if (entry === undefined) return { kind: 'ended', reason: 'token of a removed user' }
    if (machinePassword !== undefined) return verdictOnMachine({ holder, id: machinePassword, validUntil })
    const index = hashesAt(entry, now()).findIndex((hash) => isBoundTo(hash, holder))
    return index < 0
      ? { kind: 'ended', reason: 'token of a replaced password' }
      : { kind: 'user', username, isOldPassword: index > 0, validUntil }
  }

  // Threat: a token must not outlive its machine password, and must not allow more.
  function verdictOnMachine({ holder, id, validUntil }: MachineToken): TokenVerdict {
    const { username } = holder
    for (const [secret, found] of table().machinePasswords) {
      if (found.id !== id || found.username !== username || !isBoundTo(secret, holder)) continue
      return now() < found.validUntil
        ? { kind: 'user', username, isOldPassword: false, machinePassword: found, validUntil }
        : { kind: 'ended', reason: 'token of an expired machine password' }
    }
    return { kind: 'ended', reason: 'token of a revoked machine password' }
  }

  function isBoundTo(storedSecret: string, { username, fingerprint }: UserHolder): boolean {
    return tokens.fingerprintOf(username, storedSecret) === fingerprint
  }
}

type UserHolder = Extract<TokenHolder, { readonly kind: 'user' }>

interface MachineToken {
  readonly holder: UserHolder
  readonly id: string
  readonly validUntil: number
}
