// Tests addresses of clients and their sources.

import { describe, expect, it } from 'vitest'
import { createProxyList, sourceOf } from '../../src/http/client-address.ts'

describe('the source of', () => {
  it.each([
    ['an IPv4 address', '192.0.2.1', '192.0.2.1'],
    ['an IPv4 address in IPv6', '::ffff:192.0.2.1', '192.0.2.1'],
    ['the same in hexadecimal', '::ffff:c000:201', '192.0.2.1'],
    ['an IPv6 address', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['its neighbor in the /64', '2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['one of the next /64', '2001:db8:1:3::9', '2001:db8:1:3::/64'],
    ['a link-local address with its zone', 'fe80::1%eth0', 'fe80::/64'],
    ['the IPv6 loopback', '::1', '::/64'],
    ['a connection that is gone', 'unknown', 'unknown'],
  ])('%s, %s, is %s', (_what, address, source) => {
    expect(sourceOf(address)).toBe(source)
  })
})

describe('a list of proxies', () => {
  const isProxy = createProxyList([
    { address: '10.0.0.7', prefixLength: 8 },
    { address: '192.0.2.1', prefixLength: 32 },
    { address: '2001:db8::', prefixLength: 32 },
    { address: 'fe80::', prefixLength: 10 },
  ])

  it.each(['10.0.0.0', '10.255.255.255', '192.0.2.1', '::ffff:10.1.2.3', '2001:db8:ffff::1', 'fe80::1%eth0'])(
    'contains %s',
    (address) => {
      expect(isProxy(address)).toBe(true)
    },
  )

  it.each(['11.0.0.0', '9.255.255.255', '192.0.2.2', '2001:db9::1', '127.0.0.1', 'unknown', ''])(
    'does not contain %s',
    (address) => {
      expect(isProxy(address)).toBe(false)
    },
  )
})
