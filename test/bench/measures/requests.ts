// Measures the cost of small authenticated requests.

import { statusOf } from '../curl.ts'
import { loadFresh, loadKeptAlive, type Load } from '../load.ts'
import type { Figure, Measure, Setting } from '../measure.ts'
import { metered } from '../meter.ts'
import type { Environment } from '../environment.ts'
import type { Endpoint, Subject } from '../subject.ts'

const SECONDS = 4

// A long-running server has compiled its code and remembers the login.
const WARM_UP_SECONDS = 2

const FIGURES: readonly Figure[] = [
  { key: 'rate', label: 'requests/s', digits: 0, better: 'higher' },
  { key: 'cpu', label: 'CPU ms/request', digits: 3, better: 'lower' },
  { key: 'rss', label: 'peak RSS, MiB', digits: 0, better: 'lower' },
]

export const small: Measure = {
  name: 'small',
  title: 'Authenticated requests, kept alive',
  figures: FIGURES,
  run: (subject, setting) => measure(subject, setting, loadKeptAlive),
}

export const fresh: Measure = {
  name: 'fresh',
  title: 'Authenticated requests, a new TLS connection each',
  figures: FIGURES,
  run: (subject, setting) => measure(subject, setting, loadFresh),
}

async function measure(
  subject: Subject,
  { environment }: Setting,
  load: (environment: Environment, endpoint: Endpoint, seconds: number) => Promise<Load>,
): Promise<Readonly<Record<string, number>>> {
  const status = await statusOf(environment, subject)
  if (status !== 200) throw new Error(`GET /v2/: ${status}`)
  await load(environment, subject, WARM_UP_SECONDS)
  const { value, cpu, peakMib } = await metered(subject, () => load(environment, subject, SECONDS))
  return { rate: value.requests / value.seconds, cpu: (cpu * 1000) / value.requests, rss: peakMib }
}
