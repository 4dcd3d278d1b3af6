// Renders the status page, `/` of the admin listener.
// Threat: anyone who reaches the admin address reads it without a login, so it shows no secrets.

import { html } from 'hono/html'
import { pageHeaders, renderDocument } from './document.ts'

export const ADMIN_PAGE_HEADERS = pageHeaders()

export interface StatusPart {
  readonly ready: boolean
  readonly state: string
  readonly reason?: string
}

export interface Status extends StatusFigures {
  readonly ready: boolean
  readonly parts: Readonly<Record<string, StatusPart | undefined>>
}

export interface StatusFigures {
  readonly users: number
  /** Whole days. */
  readonly certificateDaysLeft: number
  readonly inFlight: number
}

export function adminPage({ ready, parts, users, certificateDaysLeft, inFlight }: Status): Promise<string> {
  const rows = Object.entries(parts).flatMap(([name, part]) =>
    part === undefined ? [] : [renderRow(name, part)],
  )
  return renderDocument({
    title: ready ? 'Ready' : 'Not ready',
    width: 'text',
    content: html`<h1>registry-sidecar is ${ready ? 'ready' : 'not ready'}</h1>
      <table>
        <tr>
          <th>Part</th>
          <th>State</th>
          <th>Reason</th>
        </tr>
        ${rows}
      </table>
      <h2>Figures</h2>
      <table>
        <tr>
          <th>Users</th>
          <td>${users}</td>
        </tr>
        <tr>
          <th>Requests in flight</th>
          <td>${inFlight}</td>
        </tr>
        <tr>
          <th>Days until the certificate expires</th>
          <td>${certificateDaysLeft}</td>
        </tr>
      </table>
      <p class="soft">
        For scripts: <a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a>,
        <a href="/metrics">/metrics</a>
      </p>`,
  })
}

function renderRow(name: string, { ready, state, reason = '' }: StatusPart) {
  return html`<tr>
    <th>${name}</th>
    <td>${state}${ready ? '' : ' (not ready)'}</td>
    <td class="reason">${reason}</td>
  </tr>`
}
