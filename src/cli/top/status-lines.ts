// Writes a status snapshot as lines for a terminal.

import { bytesText, durationText, rateText } from '../../http/pages/quantities.ts'
import type {
  FinishedOperation,
  LoadStatus,
  Names,
  Refusal,
  RunningTransfer,
  StatusChange,
  StatusSnapshot,
} from '../../observability/status-snapshot.ts'
import { printable } from '../printable.ts'
import { tableLines, type Column } from './table-lines.ts'

export interface Space {
  readonly columns: number
  /** The maximum number of rows of each table. */
  readonly rows: number
}

export function statusLines(snapshot: StatusSnapshot, { columns, rows }: Space): readonly string[] {
  const tables = [
    tableLines('Transfers', TRANSFERS, snapshot.transfers, rows),
    tableLines('Pushes and pulls', OPERATIONS, snapshot.operations, rows),
    tableLines('Refusals', REFUSALS, snapshot.refusals, rows),
    tableLines('Changes', CHANGES, snapshot.changes, rows),
  ]
  const lines = [...headLines(snapshot), ...tables.flatMap((table) => ['', ...table])]
  return lines.map((line) => printable(line).slice(0, columns).trimEnd())
}

function headLines({
  ready,
  version,
  startedAt,
  at,
  parts,
  certificates,
  load,
}: StatusSnapshot): readonly string[] {
  const seconds = (Date.parse(at) - Date.parse(startedAt)) / 1000
  return [
    `registry-sidecar ${version}   ${ready ? 'ready' : 'NOT READY'}   up ${durationText(seconds)}   ${timeOf(at)} UTC`,
    ...Object.entries(parts).map(([name, { state, ready: isReady, reason = '', hint }]) => {
      const fix = hint === undefined ? '' : `   fix: ${hint}`
      return `  ${name.padEnd(12)}${state}${isReady ? '' : ' (not ready)'}   ${reason}${fix}`
    }),
    certificates.map(({ kind, daysLeft }) => `${kind} ends in ${daysLeft} days`).join('   '),
    loadLine(load),
  ]
}

function loadLine(load: LoadStatus): string {
  const numbers = {
    users: load.users,
    connections: load.connections,
    requests: load.requestsInFlight,
    transfers: load.transfers,
    'logins waiting': load.loginsWaiting,
    in: rateText(load.receivedBytesPerSecond),
    out: rateText(load.sentBytesPerSecond),
  }
  return Object.entries(numbers)
    .map(([name, value]) => `${name} ${value}`)
    .join('   ')
}

const TRANSFERS: readonly Column<RunningTransfer>[] = [
  { title: 'operation', cell: ({ operation }) => operation },
  { title: 'bytes', cell: ({ bytes }) => bytesText(bytes) },
  { title: 'of', cell: ({ length }) => (length === undefined ? '?' : bytesText(length)) },
  { title: 'rate', cell: ({ bytesPerSecond }) => rateText(bytesPerSecond) },
  { title: 'time', cell: ({ seconds }) => durationText(seconds) },
  { title: '', cell: namesText },
]

const OPERATIONS: readonly Column<FinishedOperation>[] = [
  { title: 'time', cell: ({ at }) => timeOf(at) },
  { title: 'operation', cell: ({ operation }) => operation },
  { title: 'outcome', cell: ({ outcome }) => outcome },
  { title: 'bytes', cell: ({ bytes }) => bytesText(bytes) },
  { title: 'took', cell: ({ seconds }) => durationText(seconds) },
  { title: '', cell: namesText },
]

const REFUSALS: readonly Column<Refusal>[] = [
  { title: 'time', cell: ({ at }) => timeOf(at) },
  { title: 'kind', cell: ({ kind }) => kind },
  { title: 'times', cell: ({ count = 1 }) => String(count) },
  { title: 'reason', cell: ({ reason }) => reason },
  { title: '', cell: namesText },
]

const CHANGES: readonly Column<StatusChange>[] = [
  { title: 'time', cell: ({ at }) => timeOf(at) },
  { title: 'event', cell: ({ event }) => event },
  { title: 'outcome', cell: ({ outcome }) => outcome },
  { title: '', cell: namesText },
]

function namesText({ names = {} }: { readonly names?: Names }): string {
  const { user, address, repository, reference, client, detail } = names
  const separator = reference?.includes(':') === true ? '@' : ':'
  const image = reference === undefined ? repository : `${repository ?? ''}${separator}${reference}`
  return [image, user, address, client, detail].filter((text) => text !== undefined).join('  ')
}

function timeOf(at: string): string {
  return at.slice(11, 19)
}
