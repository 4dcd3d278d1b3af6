// Renders the recent reloads and renewals.

import type { StatusChange, StatusSnapshot } from '../../../observability/status-snapshot.ts'
import { renderTable } from '../data-table.ts'
import type { Html } from '../document.ts'
import { renderTime } from '../quantities.ts'
import { renderOutcome } from './level.ts'
import { namedColumns, renderName } from './shown-names.ts'

export function changesSection(snapshot: StatusSnapshot): Html {
  return renderTable<StatusChange>({
    caption: 'Reloads and renewals',
    columns: [
      { title: 'Time (UTC)', cell: ({ at }) => renderTime(at, snapshot.at) },
      { title: 'Event', cell: ({ event }) => event.replaceAll('-', ' ') },
      { title: 'Outcome', cell: ({ outcome }) => renderOutcome(outcome) },
      ...namedColumns<StatusChange>(snapshot, { Detail: ({ detail }) => renderName(detail) }),
    ],
    rows: snapshot.changes,
    empty: 'No reload and no renewal since the start.',
    keyOf: ({ at }) => at,
  })
}
