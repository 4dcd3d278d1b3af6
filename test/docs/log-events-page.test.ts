import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { LOG_EVENTS } from '../../src/observability/log-events.ts'
import { LOG_EVENTS_PAGE, logEventsPage } from './log-events-page.ts'

const SRC = path.join(import.meta.dirname, '..', '..', 'src')
const CATALOG = 'observability/log-events.ts'

const source = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((file) => file.split(path.sep).join('/'))
  .filter((file) => file.endsWith('.ts') && file !== CATALOG)
  .map((file) => readFileSync(path.join(SRC, file), 'utf8'))
  .join('\n')

describe('docs/log-events.md', () => {
  it('is what `npm run docs` writes', () => {
    expect(readFileSync(LOG_EVENTS_PAGE, 'utf8'), 'stale: run `npm run docs`').toBe(logEventsPage())
  })

  it('has one row for every event', () => {
    const rows = logEventsPage().split('\n')
    for (const name of Object.keys(LOG_EVENTS))
      expect(
        rows.filter((row) => row.startsWith(`| \`${name}\` | `)),
        name,
      ).toHaveLength(1)
  })
})

describe('the catalog of log events', () => {
  it('has names in kebab case, and a sentence for each', () => {
    for (const [name, { meaning }] of Object.entries(LOG_EVENTS)) {
      expect(name).toMatch(/^[a-z]+(?:-[a-z]+)*$/)
      expect(meaning, name).toMatch(/^\S.{15,}\.$/)
    }
  })

  it('lists no event that the source never logs', () => {
    const unused = Object.keys(LOG_EVENTS).filter((name) => !source.includes(`'${name}'`))
    expect(unused).toEqual([])
  })
})
