// Checks machine passwords.
// Remembers nothing, so a revoked or expired password is refused at the next request.

import type { Verdict } from './verdict.ts'
import type { Credentials } from './basic.ts'
import type { Throttle } from './throttle.ts'
import { machinePasswordDigest } from '../users/machine-passwords/machine-secret.ts'
import type { MachinePassword, UserTable } from '../users/user-table.ts'

export interface MachinePasswordCheckParts {
  readonly table: () => UserTable
  readonly throttle: Pick<Throttle, 'retryAfterMs' | 'failed'>
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly onUse: (used: MachinePassword) => void
}

export function createMachinePasswordCheck({ table, throttle, now, onUse }: MachinePasswordCheckParts) {
  return function checkMachinePassword({ username, password }: Credentials, source: string): Verdict {
    const { machinePasswords, entries } = table()
    // Nobody can choose a digest, so the time of this lookup shows nothing about the stored digests.
    const digest = machinePasswordDigest(password)
    const found = machinePasswords.get(digest)
    const own = found?.username === username ? found : undefined
    // Threat: its holder could guess the user's own password, which allows more. So a success resets no failure count.
    if (own !== undefined && now() < own.validUntil) {
      onUse(own)
      return { kind: 'ok', username, isOldPassword: false, hash: digest, machinePassword: own }
    }
    const retryAfterMs = throttle.retryAfterMs({ source, username })
    if (retryAfterMs > 0) return { kind: 'throttled', retryAfterMs }
    throttle.failed({ source, username })
    const reason = own === undefined ? 'wrong machine password' : 'machine password expired'
    return { kind: 'refused', reason, isKnown: entries.has(username) }
  }
}
