// Renders a table for desktops, phones and screen readers.

import { html } from 'hono/html'
import type { Html } from './document.ts'

export interface DataTable<Row> {
  readonly caption: string
  readonly columns: readonly Column<Row>[]
  /** At most `MAX_ROWS` of them are shown. */
  readonly rows: readonly Row[]
  /** The number of all rows, if `rows` is incomplete. */
  readonly total?: number
  readonly empty: string
  /** Returns a key that is unique in the table. The script of the page reuses the row with the same key. */
  readonly keyOf?: (row: Row) => string
}

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => Html | string | number
  /** `long` gives the cell a line of its own on a phone. */
  readonly kind?: 'long'
}

// More rows make each live update expensive, and nobody reads them on a page.
const MAX_ROWS = 25

/** The cell in the first column is the heading of its row. */
export function renderTable<Row>(table: DataTable<Row>): Html {
  const { caption, columns, rows, total = rows.length, empty } = table
  if (rows.length === 0)
    return html`<h2>${caption}</h2>
      <p class="soft">${empty}</p>`
  const more = total - Math.min(rows.length, MAX_ROWS)
  return html`<table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map(({ title }) => html`<th scope="col">${title}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.slice(0, MAX_ROWS).map((row) => renderRow(row, table))}
      </tbody>
    </table>
    ${more === 0 ? '' : html`<p class="soft">and ${more} more</p>`}`
}

function renderRow<Row>(row: Row, { columns, keyOf }: DataTable<Row>): Html {
  const cells = columns.map(({ title, cell, kind }, index) => {
    if (index === 0) return html`<th scope="row">${cell(row)}</th>`
    const name = kind === undefined ? '' : html` class="${kind}"`
    return html`<td${name} data-title="${title}">${cell(row)}</td>`
  })
  return keyOf === undefined
    ? html`<tr>
        ${cells}
      </tr>`
    : html`<tr data-key="${keyOf(row)}">
        ${cells}
      </tr>`
}
