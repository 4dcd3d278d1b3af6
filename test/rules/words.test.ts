// Holds a short list of words and sentence openings that readers stumble over.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = path.join(import.meta.dirname, '..', '..')
/** Files that list banned words. */
const LISTS = ['test/rules/words.test.ts', 'test/docs/docs.process.test.ts']

const filesOf = (folder: string): readonly string[] =>
  readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${folder}/${file.split(path.sep).join('/')}`)
    .filter((file) => !LISTS.includes(file))
const textOf = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8')

const source = filesOf('src')
const everything = [...source, ...filesOf('test')]

const BANNED_WORDS =
  /\b(?:mend(?:s|ed|ing)?|whoever|courtesy|vouch(?:es|ed)?|no good|of one's own|is told|are told|was told|so long as)\b/i

/** Openings of comments that put the subject last. */
const BANNED_OPENINGS = /^\s*(?:\/\/|\/\*\*|\*) (?:Whoever|Of (?!course)|Told|Were it|Who \w+ \w+ is)\b/

const MAX_HEADER_WORDS = 12

describe('plain English', () => {
  it.each([
    ['words', (line: string) => BANNED_WORDS.test(line)],
    ['openings of comments', (line: string) => BANNED_OPENINGS.test(line)],
  ])('has none of the banned %s', (_, isBanned) => {
    const found = everything.flatMap((file) =>
      textOf(file)
        .split('\n')
        .flatMap((line, index) => (isBanned(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [])),
    )
    expect(found).toEqual([])
  })

  it('says in the first line of each source file what the file does', () => {
    const wrong = source.flatMap((file) => {
      const [first = '', second = ''] = textOf(file).split('\n')
      const header = first.startsWith('#!') ? second : first
      const words = header.replace(/^\/\/ /, '').split(/\s+/)
      const isFine =
        /^\/\/ [A-Z`]/.test(header) && !/^\/\/ (?:What|Who|Whose|How|Of|That|Under|Where)\b/.test(header)
      return isFine && words.length <= MAX_HEADER_WORDS ? [] : [`${file}: ${header}`]
    })
    expect(wrong).toEqual([])
  })
})
