// Renders the live status page, as a whole and in sections.
// Threat: anyone who reaches the admin address reads the page without a login. So the snapshot there has no names.

import { html } from 'hono/html'
import type { StatusSnapshot } from '../../observability/status-snapshot.ts'
import { pageHeaders, renderDocument, type Html } from './document.ts'
import { LIVE_SCRIPT } from './live-script.ts'
import { renderTime } from './quantities.ts'
import { certificatesSection } from './status/certificates-section.ts'
import { changesSection } from './status/changes-section.ts'
import { chartsSection } from './status/charts-section.ts'
import { healthSection } from './status/health-section.ts'
import { loadSection } from './status/load-section.ts'
import { operationsSection } from './status/operations-section.ts'
import { refusalsSection } from './status/refusals-section.ts'
import { transfersSection } from './status/transfers-section.ts'
import { usersSection } from './status/users-section.ts'

export interface StatusPlace {
  /** The path of the server-sent events. Each event is `{ sectionId: html }`. */
  readonly events: string
  /** Other paths of the same address. */
  readonly links: readonly string[]
}

export const STATUS_PAGE_HEADERS = pageHeaders({ script: LIVE_SCRIPT, connect: "'self'" })

export function statusPage(snapshot: StatusSnapshot, { events, links }: StatusPlace): Promise<string> {
  return renderDocument({
    title: 'Status of the registry',
    width: 'tables',
    links: html`<nav aria-label="Other addresses">${links.map(renderLink)}</nav>`,
    content: html`<h1>Status of the registry</h1>
      <p class="soft">
        <span id="updated">${renderUpdated(snapshot)}</span>.
        <span id="connection" data-events="${events}">Reload the page to update it.</span>
      </p>
      <div class="sections">${layoutOf(snapshot).map(renderSection)}</div>`,
    script: LIVE_SCRIPT,
  })
}

const LINK_TEXTS: Readonly<Record<string, string>> = { '/-/': 'Set up a client' }

function renderLink(path: string): Html {
  return html`<a href="${path}">${LINK_TEXTS[path] ?? path}</a> `
}

/** Renders the content of each section for the events, by the id of the section. */
export async function statusSections(snapshot: StatusSnapshot): Promise<Record<string, string>> {
  const sections = [['updated', renderUpdated(snapshot)], ...layoutOf(snapshot)] as const
  return Object.fromEntries(
    await Promise.all(sections.map(async ([id, content]) => [id, (await content).toString()] as const)),
  )
}

function layoutOf(snapshot: StatusSnapshot): readonly (readonly [id: string, content: Html])[] {
  const { users } = snapshot
  return [
    ['health', healthSection(snapshot)],
    ['load', loadSection(snapshot)],
    ['transfers', transfersSection(snapshot)],
    ['charts', chartsSection(snapshot)],
    ['operations', operationsSection(snapshot)],
    ['refusals', refusalsSection(snapshot)],
    ...(users === undefined ? [] : [['users', usersSection(users)] as const]),
    ['certificates', certificatesSection(snapshot)],
    ['changes', changesSection(snapshot)],
  ]
}

const HALF_WIDTH: readonly string[] = ['certificates', 'changes']

function renderSection([id, content]: readonly [string, Html]): Html {
  return HALF_WIDTH.includes(id)
    ? html`<section id="${id}" class="half">${content}</section>`
    : html`<section id="${id}">${content}</section>`
}

function renderUpdated({ at }: StatusSnapshot): Html {
  return html`Updated at ${renderTime(at, '')} UTC`
}
