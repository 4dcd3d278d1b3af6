// Renders throughput, requests and operations over 15 minutes and 24 hours.

import { html } from 'hono/html'
import type { StatusSnapshot } from '../../../observability/status-snapshot.ts'
import type { Html } from '../document.ts'
import { rateText } from '../quantities.ts'
import { pointsOf, renderChart, type Chart, type Period } from './chart.ts'

type Series = StatusSnapshot['series']

/** Radio buttons switch the period without a script. */
export function chartsSection({ series }: StatusSnapshot): Html {
  const { until } = series
  const minutes = { name: '15 minutes', minutes: 15, minutesPerPoint: 1, until } as const
  const day = { name: '24 hours', minutes: 24 * 60, minutesPerPoint: 10, until } as const
  return html`<h2>Traffic</h2>
    <input type="radio" name="period" id="minutes" checked /><label for="minutes">15 minutes</label>
    <input type="radio" name="period" id="day" /><label for="day">24 hours</label>
    <div class="charts minutes">${chartsOf(series, minutes).map(renderChart)}</div>
    <div class="charts day">${chartsOf(series, day).map(renderChart)}</div>`
}

function chartsOf(series: Series, period: Period): readonly Chart[] {
  const { minutesPerPoint } = period
  const per = minutesPerPoint === 1 ? 'minute' : `${minutesPerPoint} minutes`
  const counts = (name: keyof Omit<Series, 'until'>) => pointsOf(series[name], period)
  const rates = (name: 'receivedBytes' | 'sentBytes') =>
    counts(name).map((bytes) => bytes / (60 * minutesPerPoint))
  return [
    {
      title: 'Throughput',
      lines: [
        { title: 'Received', values: rates('receivedBytes') },
        { title: 'Sent', values: rates('sentBytes') },
      ],
      text: rateText,
      period,
    },
    {
      title: `Requests per ${per}`,
      lines: [
        { title: 'All', values: counts('requests') },
        { title: 'Failed', values: counts('failedRequests') },
      ],
      text: String,
      period,
    },
    {
      title: `Pushes and pulls per ${per}`,
      lines: [
        { title: 'Pushes', values: counts('pushes') },
        { title: 'Pulls', values: counts('pulls') },
      ],
      text: String,
      period,
    },
  ]
}
