// Lists the users for the live status.

import type { AccessRules } from '../../access/access-rules.ts'
import { rightsOfUser } from '../../access/rights-of-user.ts'
import type { UserStatus } from '../../observability/status-snapshot.ts'
import type { UserTable } from '../../users/user-table.ts'

// A table may contain 100,000 users, and a viewer gets the list each second.
const MAX_LISTED = 100

/** Lists the first users of the file. The list is computed again when the table or the rules change. */
export function createUserStatuses(): (
  table: UserTable,
  rules: AccessRules | undefined,
) => readonly UserStatus[] {
  let last: readonly [UserTable, AccessRules | undefined, readonly UserStatus[]] | undefined
  return (table, rules) => {
    if (last?.[0] !== table || last[1] !== rules) last = [table, rules, listUsers(table, rules)]
    return last[2]
  }
}

function listUsers(
  { entries, machinePasswords }: UserTable,
  rules: AccessRules | undefined,
): readonly UserStatus[] {
  const now = Date.now()
  const counts = new Map<string, number>()
  for (const { username, validUntil } of machinePasswords.values()) {
    if (now < validUntil) counts.set(username, (counts.get(username) ?? 0) + 1)
  }
  return [...entries.values()].slice(0, MAX_LISTED).map(({ username, cost }) => ({
    user: username,
    cost,
    machinePasswords: counts.get(username) ?? 0,
    rights: rules === undefined ? undefined : rightsOfUser(rules.file, username),
  }))
}
