// Replaces the table in docs/benchmarks.md.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const PAGE = path.join(import.meta.dirname, '..', '..', 'docs', 'benchmarks.md')
const SECTION = /<!-- bench -->[^]*<!-- \/bench -->/

/** Call before measuring, so that a missing section does not waste a run. */
export function assertPageHasSection(): void {
  if (!SECTION.test(readFileSync(PAGE, 'utf8')))
    throw new Error('docs/benchmarks.md has no <!-- bench --> … <!-- /bench --> for the table')
}

export function writePageSection(markdown: string): void {
  const section = `<!-- bench -->\n\n${markdown}\n\n<!-- /bench -->`
  writeFileSync(
    PAGE,
    readFileSync(PAGE, 'utf8').replace(SECTION, () => section),
  )
}
