// Renders the recent refused logins and denied actions.

import type { Names, Refusal, StatusSnapshot } from '../../../observability/status-snapshot.ts'
import { renderTable } from '../data-table.ts'
import type { Html } from '../document.ts'
import { renderTime } from '../quantities.ts'
import { CLIENT_COLUMNS, namedColumns, renderImage, renderName } from './shown-names.ts'

const KINDS: Readonly<Record<Refusal['kind'], string>> = {
  login: 'login refused',
  denied: 'action denied',
  limit: 'limit reached',
}

export function refusalsSection(snapshot: StatusSnapshot): Html {
  return renderTable<Refusal>({
    caption: 'Refused logins and denied actions',
    columns: [
      { title: 'Time (UTC)', cell: ({ at }) => renderTime(at, snapshot.at) },
      {
        title: 'Refusal',
        cell: ({ kind, status }) => `${KINDS[kind]}${status === undefined ? '' : ` (${status})`}`,
      },
      { title: 'Reason', cell: ({ reason }) => reason, kind: 'long' },
      { title: 'Times', cell: ({ count = 1 }) => count },
      ...namedColumns<Refusal>(snapshot, { ...CLIENT_COLUMNS, User: renderUser, Image: renderImage }),
    ],
    rows: snapshot.refusals,
    empty: 'Nothing was refused since the start.',
    keyOf: ({ at }) => at,
  })
}

function renderUser({ user }: Names): Html | string {
  return renderName(user, 'not logged in')
}
