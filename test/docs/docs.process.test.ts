// The README and docs/: length, links, commands, names and words.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { commandFaults, nameFaults, readKnown } from '../fixtures/doc-commands.ts'
import { GENERATED, parseDocPage, PROJECT, readDocPages, type DocPage } from '../fixtures/doc-page.ts'

const README_MAX_LINES = 150

const BANNED: readonly RegExp[] = [
  /\bmend(?:s|ed)?\b/i,
  /\bwhoever\b/i,
  /\bno\s+good\b/i,
  /\btold\b/i,
  /\bof\s+one['’]s\s+own\b/i,
  /\bever\s+more\b/i,
  /\bfor\s+so\s+long\b/i,
  /\bsomebody\s+in\s+between\b/i,
  /\b(?:is|are)\s+none\b/i,
  // Openings of a sentence, a list item or a table cell.
  /(?:^|[.!?:|]\s+|^\*\s+)(?:Of|Who|Whose|What|That|Told) [^\n]*/m,
]

const pages = readDocPages()
const known = readKnown()

describe('the documentation', () => {
  it('has a README that is short, and pages to read on', () => {
    const readme = pages.find(({ file }) => file === 'README.md')
    expect(readme?.text.trimEnd().split('\n').length).toBeLessThanOrEqual(README_MAX_LINES)
    expect(pages.length).toBeGreaterThanOrEqual(8)
    for (const { file } of pages.filter((page) => page !== readme)) expect(readme?.links).toContain(file)
  })

  it.each(pages)('$file links only to files and headings that exist', (page) => {
    expect(linkFaults(page, pages)).toEqual([])
  })

  it.each(pages)('$file uses only commands, flags and services that exist', async (page) => {
    expect(await commandFaults(page, known)).toEqual([])
  })

  it.each(pages)('$file names only files and variables that exist', async (page) => {
    expect(await nameFaults(page, known)).toEqual([])
  })

  it.each(pages)('$file is written in plain English', (page) => {
    expect(wordFaults(page)).toEqual([])
  })
})

describe('the checks of the documentation', () => {
  it.each([
    ['[gone](gone.md)', 'docs/bad.md: no file for gone.md'],
    ['[gone](#gone)', 'docs/bad.md: no heading for #gone'],
    ['[gone](behavior.md#gone)', 'docs/bad.md: no heading for behavior.md#gone'],
  ])('find the broken link %s', (text, fault) => {
    expect(linkFaults(parseDocPage('docs/bad.md', text), pages)).toEqual([fault])
  })

  it.each([
    ['```sh\nregistry-sidecar frobnicate\n```', 'there is no command frobnicate: frobnicate'],
    ['```console\n$ cd x && registry-sidecar user frob\n```', 'there is no command user frob: user frob'],
    ['```sh\nnode dist/main.js user add a --frob\n```', 'there is no flag --frob: user add a --frob'],
    ['| `cert renew --frob` |', 'there is no flag --frob: cert renew --frob'],
    ['`npm run frob`', 'npm has no script frob'],
    [
      '```sh\ndocker compose exec -T frob registry-sidecar check\n```',
      'docker compose exec -T frob registry-sidecar check: compose has no service frob',
    ],
  ])('find the wrong command in %j', async (text, fault) => {
    expect(await commandFaults(parseDocPage('docs/bad.md', text), known)).toEqual([`docs/bad.md: ${fault}`])
  })

  it('take no output, comment or ordinary word for a command', async () => {
    const text = '`alice` `true` `serve`\n\n```console\nregistry-sidecar frob\n$ true # npm run frob\n```'
    expect(await commandFaults(parseDocPage('docs/good.md', text), known)).toEqual([])
  })

  it('find files and variables that do not exist', async () => {
    const page = parseDocPage('docs/bad.md', 'See `src/frob.ts`, SIDECAR_UPSTREAM and `SIDECAR_FROB`.')
    expect(await nameFaults(page, known)).toEqual([
      'docs/bad.md: there is no src/frob.ts',
      'docs/bad.md: nothing reads SIDECAR_FROB',
    ])
  })

  it.each([
    'Whoever comes',
    'a file that is no good',
    'the mend',
    'It ends. What follows is cut',
    '* Of these',
  ])('find the words in %j', (text) => {
    expect(wordFaults(parseDocPage('docs/bad.md', text))).not.toEqual([])
    expect(wordFaults(parseDocPage('docs/good.md', `\`${text}\``))).toEqual([])
  })
})

function linkFaults({ file, links, anchors }: DocPage, all: readonly DocPage[]): readonly string[] {
  return links.flatMap((link) => {
    if (/^[a-z]+:/.test(link)) return []
    const [target = '', anchor] = link.split('#')
    const linked = target === '' ? file : path.posix.join(path.posix.dirname(file), target)
    if (GENERATED.has(linked)) return []
    const isThere = target === '' || existsSync(path.join(PROJECT, linked))
    if (!isThere) return [`${file}: no file for ${link}`]
    const known = target === '' ? anchors : all.find((page) => page.file === linked)?.anchors
    return anchor === undefined || known?.includes(anchor) === true ? [] : [`${file}: no heading for ${link}`]
  })
}

function wordFaults({ file, prose }: DocPage): readonly string[] {
  return BANNED.flatMap((banned) => {
    const found = banned.exec(prose)?.[0]
    return found === undefined ? [] : [`${file}: ${found}`]
  })
}
