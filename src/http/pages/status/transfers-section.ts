// Renders the running transfers with their progress.

import { html } from 'hono/html'
import type { RunningTransfer, StatusSnapshot } from '../../../observability/status-snapshot.ts'
import { renderTable } from '../data-table.ts'
import type { Html } from '../document.ts'
import { bytesText, durationText, rateText, renderNumber } from '../quantities.ts'
import { CLIENT_COLUMNS, namedColumns, renderImage } from './shown-names.ts'

export function transfersSection(snapshot: StatusSnapshot): Html {
  return renderTable<RunningTransfer>({
    caption: 'Running transfers',
    columns: [
      ...namedColumns<RunningTransfer>(snapshot, { Repository: renderImage }),
      { title: 'Direction', cell: ({ operation }) => operation },
      ...namedColumns<RunningTransfer>(snapshot, CLIENT_COLUMNS),
      { title: 'Progress', cell: renderProgress, kind: 'long' },
      { title: 'Rate', cell: ({ bytesPerSecond }) => renderNumber(rateText(bytesPerSecond)) },
      { title: 'Running for', cell: ({ seconds }) => renderNumber(durationText(seconds)) },
      { title: 'Remaining', cell: (transfer) => renderNumber(remainingText(transfer)) },
    ],
    rows: snapshot.transfers,
    total: snapshot.load.transfers,
    empty: 'Nobody pushes or pulls at the moment.',
    keyOf: ({ id }) => id,
  })
}

function renderProgress({ bytes, length }: RunningTransfer): Html {
  if (length === undefined || length === 0) return renderNumber(`${bytesText(bytes)} of an unknown length`)
  const percent = Math.floor((100 * Math.min(bytes, length)) / length)
  return html`<progress aria-label="Progress" max="100" value="${percent}"></progress>${renderNumber(
      `${bytesText(bytes)} of ${bytesText(length)}, ${percent} %`,
    )}`
}

function remainingText({ bytes, length, bytesPerSecond }: RunningTransfer): string {
  if (length === undefined || bytesPerSecond <= 0) return 'unknown'
  return `about ${durationText(Math.max(0, length - bytes) / bytesPerSecond)}`
}
