import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { rulesJsonSchema } from '../../../src/access/rules-file/rules-schema.ts'

const committed = new URL('../../../docs/access-rules.schema.json', import.meta.url)

describe('the JSON Schema of rules files', () => {
  it('is the one in docs; after a change: npm run schema', () => {
    expect(JSON.parse(readFileSync(committed, 'utf8'))).toEqual(rulesJsonSchema())
  })

  it('has only patterns that editors can compile, which use the flag "u"', () => {
    const patterns = [...readFileSync(committed, 'utf8').matchAll(/"pattern": ("(?:[^"\\]|\\.)*")/g)]
    expect(patterns.length).toBeGreaterThan(5)
    for (const [, text = ''] of patterns)
      expect(() => new RegExp(JSON.parse(text) as string, 'u')).not.toThrow()
  })
})
