import fc from 'fast-check'
import { isIP } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createProxyList, sourceOf } from '../../src/http/client-address.ts'
import { clientOf } from '../../src/http/forwarded-for.ts'

const isProxy = createProxyList([
  { address: '10.0.0.0', prefixLength: 8 },
  { address: '2001:db8:1::', prefixLength: 48 },
])
const peer = (address: string) => ({ address, source: sourceOf(address), isProxy: isProxy(address) })
const find = (address: string, header: string | readonly string[] | undefined): string =>
  clientOf(peer(address), header, isProxy).address

describe('the client of a request', () => {
  it.each([
    ['without a header', '10.0.0.1', undefined, '10.0.0.1'],
    ['from one proxy', '10.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['from two proxies', '10.0.0.1', '192.0.2.1, 10.9.9.9', '192.0.2.1'],
    ['from an IPv6 proxy', '2001:db8:1::5', '2001:DB8:2::1', '2001:db8:2::1'],
    ['behind addresses that the client wrote', '10.0.0.1', '10.0.0.1, 127.0.0.1, 192.0.2.1', '192.0.2.1'],
    ['that is itself in the list', '10.0.0.1', '10.1.1.1,10.2.2.2', '10.1.1.1'],
    ['as IPv4 in IPv6', '10.0.0.1', '::ffff:192.0.2.1', '192.0.2.1'],
    ['as IPv4 in IPv6, behind a proxy in that form', '10.0.0.1', '192.0.2.1, ::ffff:10.0.0.2', '192.0.2.1'],
    ['with a port', '10.0.0.1', '192.0.2.1:50000', '192.0.2.1'],
    ['as IPv6 with a port', '10.0.0.1', '[2001:db8::1]:50000', '2001:db8::1'],
    ['as IPv6 in brackets', '10.0.0.1', '[2001:db8::1]', '2001:db8::1'],
    ['without spaces, and with many', '10.0.0.1', '192.0.2.9,192.0.2.1 ,\t 10.0.0.2', '192.0.2.1'],
    ['in several headers', '10.0.0.1', ['192.0.2.9', '192.0.2.1, 10.0.0.2'], '192.0.2.1'],
  ])('%s is the last address that a trusted proxy reports', (_what, address, header, expected) => {
    expect(find(address, header)).toBe(expected)
  })

  it.each([
    ['an empty header', '', '10.0.0.1'],
    ['commas', ',,', '10.0.0.1'],
    ['unknown', 'unknown', '10.0.0.1'],
    ['a name', '192.0.2.1, client.example', '10.0.0.1'],
    ['an obfuscated name', '_hidden', '10.0.0.1'],
    ['a malformed entry behind a valid one', '192.0.2.1, 192.0.2.256, 10.0.0.2', '10.0.0.2'],
    ['an empty entry at the end', '192.0.2.1,', '10.0.0.1'],
    ['a number', '3232235777', '10.0.0.1'],
    ['an octal number', '0300.0.2.1', '10.0.0.1'],
    ['a zone', 'fe80::1%eth0', '10.0.0.1'],
    ['a deprecated form of a trusted address', '192.0.2.1, ::10.0.0.2', '10.0.0.1'],
    ['a quoted address', '"192.0.2.1"', '10.0.0.1'],
    ['half a bracket', '[2001:db8::1', '10.0.0.1'],
    ['a long port', '192.0.2.1:123456', '10.0.0.1'],
    ['a line of a log', '192.0.2.1\u0085accepted', '10.0.0.1'],
  ])('is the last valid hop if the header has %s', (_what, header, expected) => {
    expect(find('10.0.0.1', header)).toBe(expected)
  })

  it.each(['192.0.2.1', '127.0.0.1', '2001:db8:2::1', '11.0.0.1', 'unknown'])(
    'is the peer %s itself, because it is not trusted',
    (address) => {
      const from = peer(address)
      expect(clientOf(from, '203.0.113.1', isProxy)).toBe(from)
    },
  )

  it('has the source of its address, and a proxy keeps its own', () => {
    expect(clientOf(peer('10.0.0.1'), '2001:db8:2::1', isProxy)).toEqual({
      address: '2001:db8:2::1',
      source: '2001:db8:2::/64',
    })
    const proxy = { address: '2001:db8:1::5', source: '2001:db8:1::5', isProxy: true }
    expect(clientOf(proxy, 'unknown', isProxy)).toBe(proxy)
  })

  it('is found in bounded time in a list of the longest length', () => {
    const asked: string[] = []
    const counting = (address: string) => asked.push(address) > 0 && isProxy(address)
    const list = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    expect(isProxy(clientOf(peer('10.0.0.1'), list.join(','), counting).address)).toBe(true)
    expect(asked.length).toBeLessThanOrEqual(33)
  })

  it('is always a valid address, and never what stands left of the last untrusted hop', () => {
    const hop = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.string(),
      fc.constantFrom('10.0.0.2', '', 'unknown', '[::1]:1'),
    )
    fc.assert(
      fc.property(fc.array(hop), fc.string(), (hops, left) => {
        expect(isIP(find('10.0.0.1', hops.join(',')))).not.toBe(0)
        expect(find('10.0.0.1', `${left},${hops.join(',')},192.0.2.1,10.0.0.2`)).toBe('192.0.2.1')
      }),
    )
  })
})
