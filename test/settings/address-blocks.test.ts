import { describe, expect, it } from 'vitest'
import { parseAddressBlocks } from '../../src/settings/address-blocks.ts'

describe('a list of address blocks', () => {
  it.each<[string, readonly (readonly [string, number])[]]>([
    ['', []],
    [' , ', []],
    ['10.0.0.0/8', [['10.0.0.0', 8]]],
    ['192.0.2.1', [['192.0.2.1', 32]]],
    [
      '2001:DB8::/32, 127.0.0.0/8,::1',
      [
        ['2001:db8::', 32],
        ['127.0.0.0', 8],
        ['::1', 128],
      ],
    ],
  ])('accepts "%s"', (text, blocks) => {
    const value = blocks.map(([address, prefixLength]) => ({ address, prefixLength }))
    expect(parseAddressBlocks(text)).toEqual({ ok: true, value })
  })

  it.each([
    ['*', 'write it as in 10.0.0.0/8'],
    ['proxy.example', 'write it as in 10.0.0.0/8'],
    ['10.0.0.0/', 'write it as in 10.0.0.0/8'],
    ['10.0.0.0/08', 'write it as in 10.0.0.0/8'],
    ['10.0.0.0/-1', 'write it as in 10.0.0.0/8'],
    ['10.0.0.0/255.0.0.0', 'write it as in 10.0.0.0/8'],
    ['10/8', 'write it as in 10.0.0.0/8'],
    ['010.0.0.0/8', 'write it as in 10.0.0.0/8'],
    ['fe80::%eth0/64', 'write it as in 10.0.0.0/8'],
    ['[::1]', 'write it as in 10.0.0.0/8'],
    ['10.0.0.0/33', 'the longest prefix is /32'],
    ['2001:db8::/129', 'the longest prefix is /128'],
    ['::ffff:10.0.0.0/104', 'in its IPv4 form'],
    ['0.0.0.0/0', 'contains every client'],
    ['::/0', 'contains every client'],
  ])('refuses "%s"', (text, reason) => {
    const parsed = parseAddressBlocks(`127.0.0.1,${text}`)
    expect(parsed).toMatchObject({ ok: false, reason: expect.stringContaining(reason) as string })
  })

  it('reports all problems at once', () => {
    const parsed = parseAddressBlocks('a,b')
    expect(parsed.ok ? '' : parsed.reason).toMatch(/"a" .*; "b" /)
  })
})
