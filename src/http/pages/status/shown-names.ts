// Renders names of users, clients and images, and the columns with names.
// Threat: a name is very long, or changes the direction of the text after it.

import { html } from 'hono/html'
import type { Names, StatusSnapshot } from '../../../observability/status-snapshot.ts'
import type { Column } from '../data-table.ts'
import type { Html } from '../document.ts'

interface Named {
  readonly names?: Names | undefined
}

const MAX_NAME = 100

export function renderName(name: string | undefined, absent = ''): Html | string {
  if (name === undefined) return absent
  return html`<bdi>${name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name}</bdi>`
}

const SHORT_DIGEST = 'sha256:'.length + 12

/** `repository:tag`, or `repository@digest` with a short digest. */
export function renderImage({ repository, reference }: Names): Html | string {
  if (reference === undefined) return renderName(repository)
  if (!reference.includes(':')) return html`${renderName(repository)}:${renderName(reference)}`
  return html`${renderName(repository)}@<abbr title="${reference}"
      >${reference.slice(0, SHORT_DIGEST)}…</abbr
    >`
}

const LONG: readonly unknown[] = [renderImage, renderClient]

/** Returns no columns for a snapshot without names, as on the admin address. */
export function namedColumns<Row extends Named>(
  { users }: Pick<StatusSnapshot, 'users'>,
  columns: Readonly<Record<string, (names: Names) => Html | string>>,
): readonly Column<Row>[] {
  if (users === undefined) return []
  return Object.entries(columns).map(([title, render]) => ({
    title,
    cell: ({ names }) => render(names ?? {}),
    ...(LONG.includes(render) ? { kind: 'long' as const } : {}),
  }))
}

export const CLIENT_COLUMNS = {
  User: ({ user }: Names) => renderName(user, 'anonymous'),
  Client: renderClient,
} as const

/** The address and the program. */
function renderClient({ address, client }: Names): Html | string {
  if (address === undefined) return renderName(client)
  // A line may break after each colon of a long IPv6 address.
  const parts = address.split(':').map((part, index) => html`${index === 0 ? '' : html`:<wbr />`}${part}`)
  return client === undefined
    ? html`${parts}`
    : html`${parts} <span class="soft">${renderName(client)}</span>`
}
