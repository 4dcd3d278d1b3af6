// Draws a chart of two lines as SVG.

import { html } from 'hono/html'
import type { Html } from '../document.ts'
import { renderTime } from '../quantities.ts'

export interface Chart {
  readonly title: string
  readonly lines: readonly [ChartLine, ChartLine]
  readonly text: (value: number) => string
  readonly period: Period
}

export interface ChartLine {
  readonly title: string
  /** One value per point, the oldest first. After a recent start, fewer values than the period has points. */
  readonly values: readonly number[]
}

export interface Period {
  readonly name: string
  readonly minutes: number
  readonly minutesPerPoint: number
  /** ISO 8601. */
  readonly until: string
}

/** Sums the minutes of each point. The oldest minutes are left out if they do not fill a point. */
export function pointsOf(
  perMinute: readonly number[],
  { minutes, minutesPerPoint }: Period,
): readonly number[] {
  const count = Math.min(Math.floor(perMinute.length / minutesPerPoint), minutes / minutesPerPoint)
  const first = perMinute.length - count * minutesPerPoint
  return Array.from({ length: count }, (_, point) => {
    const start = first + point * minutesPerPoint
    return perMinute.slice(start, start + minutesPerPoint).reduce((sum, value) => sum + value, 0)
  })
}

const [WIDTH, HEIGHT] = [600, 100]

export function renderChart({ title, lines, text, period }: Chart): Html {
  const peak = Math.max(0, ...lines.flatMap(({ values }) => values))
  const points = period.minutes / period.minutesPerPoint
  const facts = lines.map((line) => factsOf(line, text))
  const paths = lines.map(({ values }) => pathOf(values, { peak, points }))
  const from = new Date(Date.parse(period.until) - period.minutes * 60_000).toISOString()
  return html`<figure>
    <figcaption>${title}</figcaption>
    <div class="axis"><span>${text(peak)}</span></div>
    <svg role="img" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none">
      <title>${title}, last ${period.name}</title>
      <desc>${facts.join(' ')}</desc>
      <path class="grid" d="M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}" />
      <path class="first" d="${paths[0]}" />
      <path class="second" d="${paths[1]}" />
    </svg>
    <div class="axis">
      <span>${renderTime(from, period.until)}</span><span>${renderTime(period.until, period.until)} UTC</span>
    </div>
    <ul class="legend">
      <li>${renderSample('first')}${facts[0]}</li>
      <li>${renderSample('second')}${facts[1]}</li>
    </ul>
  </figure>`
}

function factsOf({ title, values }: ChartLine, text: Chart['text']): string {
  const last = values.at(-1)
  return last === undefined
    ? `${title}: no data yet`
    : `${title}: last ${text(last)}, peak ${text(Math.max(...values))}`
}

function pathOf(
  values: readonly number[],
  { peak, points }: { readonly peak: number; readonly points: number },
): string {
  const step = WIDTH / (points - 1)
  const left = WIDTH - (values.length - 1) * step
  const places = values.map((value, index) => {
    const height = peak === 0 ? 0 : (HEIGHT * value) / peak
    return `${(left + index * step).toFixed(1)} ${(HEIGHT - height).toFixed(1)}`
  })
  // The line `h0` of length zero makes a single point visible.
  return places.length === 0 ? '' : `M${places.join('L')}h0`
}

function renderSample(name: 'first' | 'second'): Html {
  return html`<svg aria-hidden="true" viewBox="0 0 24 8"><path class="${name}" d="M1 4H23" /></svg>`
}
