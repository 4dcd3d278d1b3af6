import { describe, expect, it } from 'vitest'
import { parseOrigins } from '../../src/settings/origins.ts'

describe('a list of origins', () => {
  it.each<[text: string, origins: readonly string[]]>([
    ['', []],
    ['https://ui.example', ['https://ui.example']],
    ['https://ui.example,http://localhost:8080', ['https://ui.example', 'http://localhost:8080']],
    [' https://a.example , ,https://a.example', ['https://a.example', 'https://a.example']],
    ['https://10.0.0.1:9443', ['https://10.0.0.1:9443']],
    ['https://[2001:db8::1]:9443', ['https://[2001:db8::1]:9443']],
    ['https://xn--bcher-kva.example', ['https://xn--bcher-kva.example']],
  ])('accepts %s', (text, origins) => {
    expect(parseOrigins(text)).toEqual({ ok: true, value: origins })
  })

  it.each<[text: string, hint: string]>([
    ['*', 'list each origin'],
    ['https://*.example', 'list each origin'],
    ['null', 'serve your page from its own address'],
    ['ui.example', 'write scheme://host[:port], as in https://ui.example'],
    ['ui.example:8080', 'as in https://ui.example'],
    ['//ui.example', 'as in https://ui.example'],
    ['file:///home/ui.html', 'as in https://ui.example'],
    ['chrome-extension://abc', 'as in https://ui.example'],
    ['https://', 'as in https://ui.example'],
    ['https://a b', 'as in https://ui.example'],
    ['https://a"b', 'as in https://ui.example'],
    ['https://ui.example:99999', 'as in https://ui.example'],
    ['https://ui.example/', 'write https://ui.example'],
    ['https://ui.example/registry', 'write https://ui.example'],
    ['https://ui.example?a', 'write https://ui.example'],
    ['https://ui.example#a', 'write https://ui.example'],
    ['https://UI.example', 'write https://ui.example'],
    ['HTTPS://ui.example', 'write https://ui.example'],
    ['https:ui.example', 'write https://ui.example'],
    ['https://ui.example:443', 'write https://ui.example'],
    ['http://ui.example:80', 'write http://ui.example'],
    ['https://alice:secret@ui.example', 'write https://ui.example'],
    ['https://bücher.example', 'write https://xn--bcher-kva.example'],
    ['https://ui.exa\r\nmple', 'write https://ui.example'],
    ['https://[2001:DB8:0::1]', 'write https://[2001:db8::1]'],
  ])('refuses %j and names the fix', (text, hint) => {
    const result = parseOrigins(text)
    expect(result.ok ? 'accepted' : result.reason).toMatch(new RegExp(`${escape(hint)}$`))
  })

  it('reports all problems at once', () => {
    const result = parseOrigins('*,https://ui.example,null,x')
    for (const text of ['"*"', '"null"', '"x"'])
      expect(result).toHaveProperty('reason', expect.stringContaining(text))
  })
})

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
