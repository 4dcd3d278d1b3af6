// Renders the present load as numbers.

import { html } from 'hono/html'
import type { StatusSnapshot } from '../../../observability/status-snapshot.ts'
import type { Html } from '../document.ts'
import { rateText, renderTime } from '../quantities.ts'

export function loadSection({ at, load, startedAt, version }: StatusSnapshot): Html {
  const figures: readonly (readonly [string, string | number])[] = [
    ['Receiving', rateText(load.receivedBytesPerSecond)],
    ['Sending', rateText(load.sentBytesPerSecond)],
    ['Running transfers', load.transfers],
    ['Requests in flight', load.requestsInFlight],
    ['Connections', load.connections],
    ['Logins waiting', load.loginsWaiting],
    ['Users', load.users],
  ]
  return html`<h2>Now</h2>
    <dl class="figures">${figures.map(renderFigure)}</dl>
    <p class="soft">Version ${version}, running since ${renderTime(startedAt, at)} UTC</p>`
}

function renderFigure([title, value]: readonly [string, string | number]): Html {
  return html`<div>
    <dt>${title}</dt>
    <dd>${value}</dd>
  </div>`
}
