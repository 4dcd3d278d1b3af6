// Replaces a table in docs/benchmarks.md.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const PAGE = path.join(import.meta.dirname, '..', '..', 'docs', 'benchmarks.md')
type Section = 'bench' | 'memory'

/** Call before measuring, so that a missing section does not waste a run. */
export function assertPageHasSection(section: Section): void {
  if (!patternOf(section).test(readFileSync(PAGE, 'utf8')))
    throw new Error(`docs/benchmarks.md has no <!-- ${section} --> … <!-- /${section} --> for the table`)
}

export function writePageSection(section: Section, markdown: string): void {
  const text = `<!-- ${section} -->\n\n${markdown}\n\n<!-- /${section} -->`
  writeFileSync(
    PAGE,
    readFileSync(PAGE, 'utf8').replace(patternOf(section), () => text),
  )
}

function patternOf(section: Section): RegExp {
  return new RegExp(`<!-- ${section} -->[^]*<!-- /${section} -->`)
}
