// Checks whether a viewer may still see the live status.

import type { AccessRules } from '../../access/access-rules.ts'
import { rightsOfRequest } from '../../http/pipeline/authorize.ts'
import type { RequestFacts } from '../../http/request-facts.ts'
import type { UserTable } from '../../users/user-table.ts'

export interface InForceNow {
  readonly table: UserTable
  readonly rules: AccessRules | undefined
}

export type ViewerLogin = Pick<
  RequestFacts,
  'subject' | 'machinePassword' | 'isOldPassword' | 'tokenValidUntil'
>

/** Call it right after the login of the viewer. */
export function createViewerCheck(now: () => InForceNow): (login: ViewerLogin) => () => boolean {
  return ({ subject, machinePassword, isOldPassword, tokenValidUntil = Infinity }) => {
    if (subject?.kind !== 'user') return () => false
    const { username } = subject
    const entry = now().table.entries.get(username)
    const oldPasswordsEnd = Math.max(0, ...(entry?.previous ?? []).map(({ validUntil }) => validUntil))
    const passwordEnds = machinePassword?.validUntil ?? (isOldPassword ? oldPasswordsEnd : Infinity)
    // Threat: a viewer watches long after its token has expired.
    const validUntil = Math.min(passwordEnds, tokenValidUntil)
    let checked: (InForceNow & { readonly isValid: boolean }) | undefined

    function isValidIn({ table, rules }: InForceNow): boolean {
      // A new hash means a new password, so the viewer must log in again.
      if (entry === undefined || table.entries.get(username)?.hash !== entry.hash) return false
      if (machinePassword !== undefined) {
        const ids = [...table.machinePasswords.values()].map(({ id }) => id)
        if (!ids.includes(machinePassword.id)) return false
      }
      const rights = rightsOfRequest(rules, { subject: { kind: 'user', username }, machinePassword })
      return rights === 'everything' || rights({ action: 'status' })
    }

    return () => {
      const { table, rules } = now()
      // A table may be large, so it is searched only after a change.
      if (checked?.table !== table || checked.rules !== rules)
        checked = { table, rules, isValid: isValidIn({ table, rules }) }
      return checked.isValid && Date.now() < validUntil
    }
  }
}
