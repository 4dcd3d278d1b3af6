// Formats the results of the flood benchmark.

import type { Machine } from '../machine.ts'
import { median, percentile } from '../statistics.ts'
import type { AttackerReport } from './attacker.ts'
import type { EventLoopDelay } from './event-loop-delay.ts'
import type { FreshLogin } from './fresh-logins.ts'
import type { Options } from './options.ts'

/** The measurements of one phase, without or with the flood. */
export interface Phase {
  /** Milliseconds until each answer to a remembered user. */
  readonly cached: readonly number[]
  readonly fresh: readonly FreshLogin[]
  readonly eventLoop: EventLoopDelay
}

export interface Run {
  readonly options: Options
  readonly machine: Machine
  readonly quiet: Phase
  readonly flood: Phase
  readonly attack: AttackerReport
}

const MAX_RATIO = 3
const MAX_LOGIN_MS = 2000
const MAX_DELAY_MS = 20

export function formatJson(run: Run): string {
  const { cached: quiet, ...quietRest } = run.quiet
  const { cached: flood, ...floodRest } = run.flood
  const cached = { quiet: summaryOf(quiet), flood: summaryOf(flood) }
  return JSON.stringify({ ...run, cached, quiet: quietRest, flood: floodRest }, undefined, 2)
}

export function formatTable({ options, machine, quiet, flood, attack }: Run): string {
  const ratio = percentile(flood.cached, 99) / percentile(quiet.cached, 99)
  const slowest = longest(flood.fresh)
  const delay = Math.max(quiet.eventLoop.p99, flood.eventLoop.p99)
  const failed = [...quiet.fresh, ...flood.fresh].filter(({ status }) => status !== 200).length
  return [
    `${options.connections} connections with wrong passwords at cost 10, ${options.seconds} s, ${machine.date}, on ${machine.cores} cores of ${machine.cpu}, ${machine.system}.`,
    '',
    '| | Quiet | Flood | Asked |',
    '|---|---:|---:|---|',
    row('`GET /v2/` of a cached user, p50 ms', quiet, flood, ({ cached }) => percentile(cached, 50)),
    row('p99 ms', quiet, flood, ({ cached }) => percentile(cached, 99)),
    `| p99, flood ÷ quiet | | ${ratio.toFixed(2)} | ${formatLimit(ratio <= MAX_RATIO, `at most ${MAX_RATIO}`)} |`,
    row('fresh login from another address, median ms', quiet, flood, ({ fresh }) => median(msOf(fresh))),
    row(
      'longest ms',
      quiet,
      flood,
      ({ fresh }) => longest(fresh),
      formatLimit(slowest < MAX_LOGIN_MS, 'under 2000'),
    ),
    `| fresh logins that failed | | ${failed} | ${formatLimit(failed === 0, 'none')} |`,
    row(
      'event loop late, p99 ms',
      quiet,
      flood,
      ({ eventLoop }) => eventLoop.p99,
      formatLimit(delay < MAX_DELAY_MS, 'under 20'),
    ),
    row('at most ms', quiet, flood, ({ eventLoop }) => eventLoop.max),
    '',
    attackLine(attack),
  ].join('\n')
}

function attackLine({ seconds, answers }: AttackerReport): string {
  const total = Object.values(answers).reduce((sum, count) => sum + count, 0)
  const parts = Object.entries(answers).map(
    ([status, count]) => `${count} × ${status === '0' ? 'no answer' : status}`,
  )
  const rate = (total / seconds).toFixed(0)
  return `The flood got ${rate} answers a second: ${parts.join(', ')}. So it had ${answers[401] ?? 0} bcrypts.`
}

function row(
  label: string,
  quiet: Phase,
  flood: Phase,
  figure: (phase: Phase) => number,
  verdict = '',
): string {
  return `| ${label} | ${figure(quiet).toFixed(1)} | ${figure(flood).toFixed(1)} | ${verdict} |`
}

function formatLimit(isMet: boolean, limit: string): string {
  return `${limit}: ${isMet ? 'met' : 'missed'}`
}

function summaryOf(times: readonly number[]): Readonly<Record<string, number>> {
  const [p50, p90, p99] = [50, 90, 99].map((rank) => percentile(times, rank))
  return {
    requests: times.length,
    p50: p50 ?? NaN,
    p90: p90 ?? NaN,
    p99: p99 ?? NaN,
    max: percentile(times, 100),
  }
}

function msOf(fresh: readonly FreshLogin[]): readonly number[] {
  return fresh.map(({ ms }) => ms)
}

function longest(fresh: readonly FreshLogin[]): number {
  return percentile(msOf(fresh), 100)
}
