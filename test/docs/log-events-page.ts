// Builds docs/log-events.md from the catalog of log events.

import path from 'node:path'
import { LOG_EVENTS, type LogLevel } from '../../src/observability/log-events.ts'

export const LOG_EVENTS_PAGE = path.join(import.meta.dirname, '..', '..', 'docs', 'log-events.md')

const INTRODUCTION = `# Log events

<!-- \`npm run docs\` writes this file from src/observability/log-events.ts; change the texts there. -->

Each log line has a field \`event\` with one of these names, beside a sentence for people in \`msg\`. Alert on the names: a
name keeps its meaning, but a sentence may change. [Logs](operations.md#logs) explains the lines. The
[audit stream](audit.md) has events of its own.
`

const LEVELS: readonly (readonly [level: LogLevel, title: string])[] = [
  ['error', 'Errors'],
  ['warn', 'Warnings'],
  ['info', 'Information'],
  ['debug', 'Debug lines'],
]

/** The page as Markdown. */
export function logEventsPage(): string {
  const events = Object.entries(LOG_EVENTS).toSorted(([one], [other]) => (one < other ? -1 : 1))
  const sections = LEVELS.map(([level, title]) => {
    const rows = events.filter(([, event]) => event.level === level)
    const table = rows.map(([name, { meaning }]) => `| \`${name}\` | ${meaning} |`)
    return [`## ${title}`, '', '| Event | Meaning |', '|---|---|', ...table, ''].join('\n')
  })
  return [INTRODUCTION, ...sections].join('\n')
}
