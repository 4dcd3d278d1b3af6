// Signs and verifies tokens with jose.
// A token never says what its holder may do, so a change of the access rules takes effect at once.

import type { JWTPayload } from 'jose'
import { deriveTokenKeys } from './token-keys.ts'

/** The audience of tokens, and `service` in challenges. Jib does not encode it, and regclient expects that it never changes. */
export const TOKEN_SERVICE = 'registry-sidecar'

/** Sent as `expires_in`. Tools fetch one token for a whole push, so a shorter life breaks long pushes. */
export const TOKEN_LIFE_S = 3600

// Clients use a token until its last second, and their requests take time to arrive.
const GRACE_S = 120

/** The token of a user with the longest name has half this length. */
const MAX_TOKEN_LENGTH = 2048

/** The client that a token was issued to. A username may be `anonymous`, so only `kind` says which holder is anonymous. */
export type TokenHolder =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'user'
      readonly username: string
      readonly fingerprint: string
      /** The id of the machine password that was sent; undefined for the password of the user. */
      readonly machinePassword?: string | undefined
    }

export type ReadToken =
  /** `validUntil` is in milliseconds since 1970. */
  | { readonly kind: 'valid'; readonly holder: TokenHolder; readonly validUntil: number }
  /** Signed with this key, and too old. Its holder was right once, so this is no guess. */
  | { readonly kind: 'expired' }
  /** The log's reason never repeats the token. */
  | { readonly kind: 'wrong'; readonly reason: string }

export interface SignedTokens {
  readonly issue: (holder: TokenHolder) => Promise<string>
  /** Never rejects. */
  readonly read: (token: string) => Promise<ReadToken>
  readonly fingerprintOf: (username: string, storedSecret: string) => string
}

export interface SignedTokensOptions {
  /** 32 random bytes. */
  readonly key: Buffer
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined
}

const ISSUER = 'registry-sidecar'
const TYPE = 'JWT'

// Threat: some decoders ignore the last two bits of the signature, so one token would have four texts.
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

export function createSignedTokens({ key, now = Date.now }: SignedTokensOptions): SignedTokens {
  const { signing, id, fingerprintOf } = deriveTokenKeys(key)

  return {
    fingerprintOf,
    issue: async (holder) => {
      const { SignJWT } = await loadJose()
      const issuedAt = Math.floor(now() / 1000)
      return new SignJWT(claimsOf(holder))
        .setProtectedHeader({ alg: 'HS256', typ: TYPE, kid: id })
        .setIssuer(ISSUER)
        .setAudience(TOKEN_SERVICE)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + TOKEN_LIFE_S)
        .sign(signing)
    },
    read: async (token) => {
      if (token.length > MAX_TOKEN_LENGTH) return { kind: 'wrong', reason: 'token too long' }
      if (!TOKEN.test(token)) return { kind: 'wrong', reason: 'malformed token' }
      const { errors, jwtVerify } = await loadJose()
      try {
        const { payload } = await jwtVerify(
          token,
          ({ kid }) => {
            if (kid !== id) throw new ForeignKeyError()
            return signing
          },
          {
            // Threat: the token's own head must not choose the algorithm ("none", or RS256 with our key as public key).
            algorithms: ['HS256'],
            typ: TYPE,
            issuer: ISSUER,
            audience: TOKEN_SERVICE,
            requiredClaims: ['exp', 'iat'],
            clockTolerance: GRACE_S,
            currentDate: new Date(now()),
          },
        )
        const holder = holderIn(payload)
        return holder === undefined
          ? { kind: 'wrong', reason: 'token of another kind' }
          : { kind: 'valid', holder, validUntil: (GRACE_S + (payload.exp ?? 0)) * 1000 }
      } catch (error) {
        // jose looks at the claims only after the signature was right.
        if (error instanceof errors.JWTExpired) return { kind: 'expired' }
        if (error instanceof ForeignKeyError) return { kind: 'wrong', reason: 'token of another key' }
        if (error instanceof errors.JOSEError) return { kind: 'wrong', reason: 'wrong token' }
        throw error
      }
    },
  }
}

// Loaded at the first token, because many clients send only passwords.
function loadJose(): Promise<typeof import('jose')> {
  return import('jose')
}

class ForeignKeyError extends Error {}

function claimsOf(holder: TokenHolder): JWTPayload {
  if (holder.kind === 'anonymous') return { kind: 'anonymous' }
  const { username, ...claims } = holder
  return { ...claims, sub: username }
}

function holderIn({ kind, sub, fingerprint, machinePassword }: JWTPayload): TokenHolder | undefined {
  if (kind === 'anonymous') return { kind: 'anonymous' }
  if (kind !== 'user' || typeof sub !== 'string' || typeof fingerprint !== 'string') return undefined
  const holder = { kind: 'user', username: sub, fingerprint } as const
  return typeof machinePassword === 'string' ? { ...holder, machinePassword } : holder
}
