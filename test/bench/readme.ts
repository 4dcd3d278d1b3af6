import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const README = path.join(import.meta.dirname, '..', '..', 'README.md')
const SECTION = /<!-- bench -->[^]*<!-- \/bench -->/

/** Throws before anything is measured, not after. */
export function assertReadmeHasSection(): void {
  if (!SECTION.test(readFileSync(README, 'utf8')))
    throw new Error('README.md has no <!-- bench --> … <!-- /bench --> to put the table between')
}

export function writeReadmeSection(markdown: string): void {
  const section = `<!-- bench -->\n\n${markdown}\n\n<!-- /bench -->`
  writeFileSync(
    README,
    readFileSync(README, 'utf8').replace(SECTION, () => section),
  )
}
