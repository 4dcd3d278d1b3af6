// Renders the users with their rights.

import { html } from 'hono/html'
import type { StatusSnapshot, UserStatus } from '../../../observability/status-snapshot.ts'
import { renderTable } from '../data-table.ts'
import type { Html } from '../document.ts'
import { renderName } from './shown-names.ts'

export function usersSection(users: NonNullable<StatusSnapshot['users']>): Html {
  return renderTable<UserStatus>({
    caption: 'Users',
    columns: [
      { title: 'User', cell: ({ user }) => renderName(user) },
      { title: 'Rights', cell: ({ rights }) => renderRights(rights) },
      { title: 'Machine passwords', cell: ({ machinePasswords }) => machinePasswords },
      { title: 'bcrypt cost', cell: ({ cost }) => cost },
    ],
    rows: users,
    empty: 'There are no users yet, so nobody can log in.',
    keyOf: ({ user }) => user,
  })
}

const MAX_RIGHTS = 6

function renderRights(rights: UserStatus['rights']): Html | string {
  if (rights === undefined) return 'everything'
  if (rights.length === 0) return 'none'
  const more = rights.length - MAX_RIGHTS
  return html`${rights.slice(0, MAX_RIGHTS).map((right, index) => {
    return html`${index === 0 ? '' : ', '}${renderName(right)}`
  })}${more > 0 ? ` and ${more} more` : ''}`
}
