// Renders the recent pushes and pulls.

import type { FinishedOperation, StatusSnapshot } from '../../../observability/status-snapshot.ts'
import { renderTable } from '../data-table.ts'
import type { Html } from '../document.ts'
import { bytesText, durationText, renderNumber, renderTime } from '../quantities.ts'
import { renderOutcome } from './level.ts'
import { CLIENT_COLUMNS, namedColumns, renderImage } from './shown-names.ts'

export function operationsSection(snapshot: StatusSnapshot): Html {
  return renderTable<FinishedOperation>({
    caption: 'Recent pushes and pulls',
    columns: [
      { title: 'Time (UTC)', cell: ({ at }) => renderTime(at, snapshot.at) },
      { title: 'Operation', cell: ({ operation }) => operation },
      ...namedColumns<FinishedOperation>(snapshot, { Image: renderImage, ...CLIENT_COLUMNS }),
      { title: 'Size', cell: ({ bytes }) => renderNumber(bytesText(bytes)) },
      { title: 'Duration', cell: ({ seconds }) => renderNumber(durationText(seconds)) },
      { title: 'Outcome', cell: ({ outcome }) => renderOutcome(outcome) },
    ],
    rows: snapshot.operations,
    empty: 'No push or pull since the start.',
    keyOf: ({ at }) => at,
  })
}
