// Renders the health of each part with its fix.

import { html } from 'hono/html'
import type { PartStatus, StatusSnapshot } from '../../../observability/status-snapshot.ts'
import { renderTable } from '../data-table.ts'
import type { Html } from '../document.ts'
import { renderLevel, type Level } from './level.ts'

/** The overall line is the only text that screen readers announce by themselves. */
export function healthSection({ ready, parts }: StatusSnapshot): Html {
  const rows = Object.entries(parts)
  const table = renderTable({
    caption: 'Parts',
    columns: [
      { title: 'Part', cell: ([name]) => TITLES[name] ?? name },
      { title: 'State', cell: ([, part]) => renderState(part) },
      { title: 'Reason', cell: ([, { reason = '' }]) => reason, kind: 'long' },
      { title: 'Fix', cell: ([, { hint = '' }]) => hint, kind: 'long' },
    ],
    rows,
    empty: 'No part has reported yet.',
    keyOf: ([name]) => name,
  })
  return html`<p class="overall" role="status">${renderOverall(ready, rows)}</p>
    ${table}`
}

const TITLES: Readonly<Record<string, string>> = {
  users: 'Users',
  certificate: 'Certificate',
  clientCa: 'Client certificates',
  access: 'Access rules',
  upstream: 'Registry',
  draining: 'Stopping',
  freeze: 'Write freeze',
}

function renderOverall(ready: boolean, parts: readonly (readonly [string, PartStatus])[]): Html {
  if (!ready) return renderLevel('bad', 'Not ready')
  return parts.some(([, part]) => levelOf(part) === 'warn')
    ? renderLevel('warn', 'Ready, but a part needs attention')
    : renderLevel('good', 'Ready')
}

function renderState(part: PartStatus): Html {
  const level = levelOf(part)
  const text = STATES[part.state] ?? part.state
  return renderLevel(level, level === 'bad' ? `${text} (not ready)` : text)
}

const STATES: Readonly<Record<string, string>> = { ok: 'OK', no: 'no' }

function levelOf({ ready, state }: PartStatus): Level {
  if (!ready) return 'bad'
  return STATES[state] === undefined ? 'warn' : 'good'
}
