// Renders the recent refused logins and denied actions.

import type { Names, Refusal, StatusSnapshot } from '../../../observability/status-snapshot.ts'
import { renderTable } from '../data-table.ts'
import type { Html } from '../document.ts'
import { renderTime } from '../quantities.ts'
import { namedColumns, renderImage, renderName } from './shown-names.ts'

const KINDS: Readonly<Record<Refusal['kind'], string>> = {
  login: 'login refused',
  denied: 'action denied',
  limit: 'limit reached',
}

const COLUMNS = {
  User: ({ user }: Names) => renderName(user, 'not logged in'),
  Client: ({ address }: Names) => renderName(address),
  Image: renderImage,
} as const

export function refusalsSection(snapshot: StatusSnapshot): Html {
  return renderTable<Refusal>({
    caption: 'Refused logins and denied actions',
    columns: [
      { title: 'Time (UTC)', cell: ({ at }) => renderTime(at, snapshot.at) },
      { title: 'Refusal', cell: ({ kind }) => KINDS[kind] },
      { title: 'Status', cell: ({ status }) => status },
      { title: 'Reason', cell: ({ reason }) => reason },
      ...namedColumns<Refusal>(snapshot, COLUMNS),
    ],
    rows: snapshot.refusals,
    empty: 'Nothing was refused since the start.',
    keyOf: ({ at }) => at,
  })
}
