// Defines the outcome of checking credentials.

import type { MachinePassword } from '../users/user-table.ts'

export type RefusalReason =
  | 'unknown user'
  | 'wrong password'
  | 'password too long'
  | 'entry changed'
  | 'wrong machine password'
  | 'machine password expired'

/** `reason` and `isKnown` are for the log; a client must not see them. */
export type Verdict =
  | {
      readonly kind: 'ok'
      readonly username: string
      /** The user has a newer password, and this one is still valid: `user passwd --keep-old`. */
      readonly isOldPassword: boolean
      /** The stored secret that the password matches. A token is bound to it. */
      readonly hash: string
      readonly machinePassword?: MachinePassword
    }
  | {
      readonly kind: 'refused'
      readonly reason: RefusalReason
      /** An unknown name is not logged, because it may be a password in the wrong field. */
      readonly isKnown: boolean
    }
  | { readonly kind: 'busy' }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }
