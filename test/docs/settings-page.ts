// Builds docs/settings.md from the settings table and the image's defaults.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { flagOf, variableOf } from '../../src/settings/setting.ts'
import { settingOf, TOPICS, type SettingName } from '../../src/settings/table.ts'

const TOP = path.join(import.meta.dirname, '..', '..')

export const SETTINGS_PAGE = path.join(TOP, 'docs', 'settings.md')

const INTRODUCTION = `# Settings

<!-- \`npm run docs\` writes this file from src/settings; change the texts there. -->

Each setting is an environment variable and a flag of the same name. The flag wins. An empty value counts as not set.
\`registry-sidecar COMMAND --help\` lists the settings that a command uses; every command checks all variables.

Durations carry a unit (\`500ms\`, \`25s\`, \`2m\`, \`1h\`, \`10d\`), and so do sizes (\`512KiB\`, \`64MiB\`, \`1GiB\`). Counts are
whole numbers. An unknown \`SIDECAR_…\` variable is refused, so that a misspelt setting is not ignored. Wrong settings are
reported all at once, with exit code 64.
`

/** The page as Markdown. */
export function settingsPage(): string {
  const imageDefaults = readImageDefaults()
  const sections = TOPICS.map(({ title, names }) =>
    [
      `## ${title}`,
      '',
      '| Variable | Flag | Default | Meaning |',
      '|---|---|---|---|',
      ...names.map((name) => rowOf(name, imageDefaults.get(variableOf(name)))),
      '',
    ].join('\n'),
  )
  return [INTRODUCTION, ...sections].join('\n')
}

function rowOf(name: SettingName, imageDefault: string | undefined): string {
  const { default: fallback, meaning, details } = settingOf(name)
  const ofImage = imageDefault === undefined ? '' : ` (image: \`${imageDefault}\`)`
  const cells = [
    `\`${variableOf(name)}\``,
    `\`${flagOf(name)}\``,
    fallback === '' ? `not set${ofImage}` : `\`${fallback}\`${ofImage}`,
    details === undefined ? meaning : `${meaning} ${details}`,
  ]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

/** What the image sets, by variable. */
function readImageDefaults(): ReadonlyMap<string, string> {
  const dockerfile = readFileSync(path.join(TOP, 'docker', 'Dockerfile'), 'utf8')
  const pairs = dockerfile.matchAll(/\b(SIDECAR_[A-Z_]+)=(\S+)/g)
  return new Map(Array.from(pairs, ([, variable = '', value = '']) => [variable, value]))
}
