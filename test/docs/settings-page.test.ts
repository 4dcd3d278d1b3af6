import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { flagOf, variableOf } from '../../src/settings/setting.ts'
import { SETTINGS, settingNames, settingOf, TOPICS } from '../../src/settings/table.ts'
import { SETTINGS_PAGE, settingsPage } from './settings-page.ts'

describe('docs/settings.md', () => {
  it('is what `npm run docs` writes', () => {
    expect(readFileSync(SETTINGS_PAGE, 'utf8'), 'stale: run `npm run docs`').toBe(settingsPage())
  })

  it('has one row for every setting, with its default', () => {
    const rows = settingsPage().split('\n')
    for (const name of settingNames()) {
      const found = rows.filter((row) => row.startsWith(`| \`${variableOf(name)}\` | \`${flagOf(name)}\` | `))
      expect(found, name).toHaveLength(1)
      expect(found[0], name).toContain(SETTINGS[name].default)
    }
  })

  it('names what the image sets', () => {
    expect(settingsPage()).toContain('| `:8443` (image: `:443`) |')
    expect(settingsPage()).toContain('| `state` (image: `/state`) |')
  })
})

describe('the settings table', () => {
  it('has every setting under exactly one topic', () => {
    expect(TOPICS.flatMap(({ names }) => names)).toEqual(settingNames())
  })

  it('explains each setting in a sentence', () => {
    for (const name of settingNames()) expect(settingOf(name).meaning, name).toMatch(/^\S.{20,}\.$/)
  })

  it('offers only values that the parser accepts', () => {
    for (const name of settingNames()) {
      const { words = [], parse } = settingOf(name)
      for (const word of words) expect(parse(word).ok, `${name} ${word}`).toBe(true)
    }
  })
})
