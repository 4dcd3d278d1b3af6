import { describe, expect, it } from 'vitest'

import {
  automaticNames,
  hasSameNames,
  isCovered,
  lacksNames,
  leafNames,
  parseHostName,
} from '../../src/pki/names.ts'
import type { SubjectAltName } from '../../src/pki/names.ts'

describe('a name that a certificate can carry', () => {
  it.each([
    ['a single word', 'proxy', dns('proxy')],
    ['capitals, in lower case', 'Registry.Example.COM', dns('registry.example.com')],
    ['blanks around it', '  proxy ', dns('proxy')],
    ['an underscore, as in names of compose', 'my_project_proxy_1', dns('my_project_proxy_1')],
    ['a trailing dot, removed', 'registry.example.com.', dns('registry.example.com')],
    ['an international name, as A-labels', 'Bücher.example', dns('xn--bcher-kva.example')],
    ['an ideographic full stop', '例え。jp', dns('xn--r8jz45g.jp')],
    ['a name already in A-labels', 'xn--bcher-kva.example', dns('xn--bcher-kva.example')],
    ['a wildcard', '*.Example.com', dns('*.example.com')],
    ['a wildcard in an international name', '*.bücher.example', dns('*.xn--bcher-kva.example')],
    ['a container id', '5e1234567890', dns('5e1234567890')],
    ['digits in all labels but the last', '10.0.0.1.nip.io', dns('10.0.0.1.nip.io')],
    ['a label of 63 characters', `${'a'.repeat(63)}.example`, dns(`${'a'.repeat(63)}.example`)],
    ['a name of 253 characters', longName(253), dns(longName(253))],
    ['an IPv4 address', '192.168.1.10', ip('192.168.1.10')],
    ['an IPv6 address', '2001:DB8:0:0:0:0:0:1', ip('2001:db8::1')],
    ['an IPv6 address in brackets', '[::1]', ip('::1')],
    ['an IPv6 address with one group left out', '::2:3:4:5:6:7:8', ip('0:2:3:4:5:6:7:8')],
    ['an IPv4 address inside IPv6', '::ffff:1.2.3.4', ip('::ffff:102:304')],
    ['a link-local address, if given', 'fe80::1', ip('fe80::1')],
  ])('is read: %s', (_, text, name) => {
    expect(parseHostName(text)).toEqual({ ok: true, name })
  })
})

describe('a name that no certificate can carry', () => {
  it.each([
    ['nothing', '', 'holds no name'],
    ['only blanks', '  ', 'holds no name'],
    ['only a port', ':443', 'holds no name'],
    ['a port', 'proxy:443', 'give only the name: `proxy`, not `proxy:443`'],
    ['an unnamed port', 'proxy:', 'give only the name: `proxy`, not `proxy:`'],
    ['a port after an IPv4 address', '10.0.0.1:443', 'give only the name: `10.0.0.1`'],
    ['a port after an IPv6 address', '[::1]:443', 'give only the name: `[::1]`, not `[::1]:443`'],
    ['a scheme', 'https://proxy', 'give only the name: `proxy`, not `https://proxy`'],
    ['scheme, port and path', 'https://proxy:443/v2/', 'give only the name: `proxy`'],
    ['a path', 'proxy/v2', 'give only the name: `proxy`'],
    ['a range of addresses', '10.0.0.0/8', 'give only the name: `10.0.0.0`'],
    ['a zone id', 'fe80::1%eth0', 'zone id'],
    ['a zone id in brackets', '[fe80::1%eth0]', 'zone id'],
    ['three numbers', '1.2.3', 'is not a valid IPv4 address'],
    ['a number over 255', '300.1.1.1', 'is not a valid IPv4 address'],
    ['only a number', '2130706433', 'is not a valid IPv4 address'],
    ['leading zeros', '010.0.0.1', 'is not a valid IPv4 address'],
    ['a hexadecimal address', '0x7f.0.0.0x1', 'is not a valid IPv4 address'],
    ['an address in wide digits', '１２７.1', 'is not a valid IPv4 address'],
    ['a wildcard over addresses', '*.168.1.10', 'is not a valid IPv4 address'],
    ['a broken IPv6 address', 'fe80:::1', 'not an IPv6 address'],
    ['a name in brackets', '[proxy]', 'not a host name'],
    ['only a wildcard', '*', 'whole first label only'],
    ['a wildcard for a part of a label', 'pro*.example.com', 'whole first label only'],
    ['a wildcard in the middle', 'a.*.example.com', 'whole first label only'],
    ['two wildcards', '*.*.example.com', 'whole first label only'],
    ['a wildcard before nothing', '*.', 'not a host name'],
    ['an empty label', 'a..example', 'not a host name'],
    ['a leading dot', '.example.com', 'not a host name'],
    ['a leading hyphen', '-proxy', 'not a host name'],
    ['a trailing hyphen', 'proxy-.example', 'not a host name'],
    ['a blank inside', 'my proxy', 'not a host name'],
    ['a line break inside', 'pro\nxy', 'not a host name'],
    ['an escape', 'pro%78y', 'not a host name'],
    ['a user', 'alice@proxy', 'not a host name'],
    ['a NUL', 'proxy\0.example', 'not a host name'],
    ['a label of 64 characters', `${'a'.repeat(64)}.example`, 'not a host name'],
    ['a name of 254 characters', longName(254), 'at most 253'],
    ['a wildcard that makes 254 characters', `*.${longName(252)}`, 'at most 253'],
  ])('is refused with the fix: %s', (_, text, reason) => {
    const parsed = parseHostName(text)
    expect(parsed).toEqual({ ok: false, reason: expect.stringContaining(reason) as string })
  })
})

describe('automatic names', () => {
  it('are localhost, the loopback addresses, the host name and the addresses of this machine', () => {
    expect(
      automaticNames({ hostname: 'Box', addresses: ['127.0.0.1', '::1', '10.1.2.3', '2001:db8::5'] }),
    ).toEqual([
      dns('localhost'),
      ip('127.0.0.1'),
      ip('::1'),
      dns('box'),
      ip('127.0.0.1'),
      ip('::1'),
      ip('10.1.2.3'),
      ip('2001:db8::5'),
    ])
  })

  it('leave out names that no certificate can carry or no client can connect to', () => {
    const addresses = ['fe80::1', 'fe80::1%eth0', 'febf:ffff::1', 'not an address']
    expect(automaticNames({ hostname: 'my box', addresses })).toEqual([
      dns('localhost'),
      ip('127.0.0.1'),
      ip('::1'),
    ])
  })

  it('keep addresses that only start like link-local ones', () => {
    const names = automaticNames({ hostname: 'box', addresses: ['fec0::1', 'fe8::1'] })
    expect(names.slice(4)).toEqual([ip('fec0::1'), ip('fe8::1')])
  })
})

describe('the names of a leaf', () => {
  it('have no duplicates, and start with the configured names', () => {
    expect(leafNames([dns('proxy'), ip('::1'), dns('proxy')], [dns('localhost'), ip('::1')])).toEqual([
      dns('proxy'),
      ip('::1'),
      dns('localhost'),
    ])
  })

  it('are the same in any order', () => {
    expect(hasSameNames([dns('a'), ip('::1')], [ip('::1'), dns('a')])).toBe(true)
    expect(hasSameNames([dns('a')], [dns('a'), dns('b')])).toBe(false)
    expect(hasSameNames([dns('a'), dns('b')], [dns('a')])).toBe(false)
  })
})

describe('a name that a client connects to', () => {
  const names = [
    dns('proxy'),
    dns('*.lab.example'),
    ip('10.0.0.1'),
    ip('2001:db8::1'),
    dns('*'),
    dns('*e'),
    dns('w*.example.com'),
  ]

  it.each([
    ['by the same name', dns('proxy'), true],
    ['an address by the same address', ip('2001:db8::1'), true],
    ['by a wildcard', dns('a.lab.example'), true],
    ['an international name by a wildcard', dns('xn--bcher-kva.lab.example'), true],
    ['not the parent of a wildcard', dns('lab.example'), false],
    ['not two labels by a wildcard', dns('a.b.lab.example'), false],
    ['not a name with only the same ending', dns('collab.example'), false],
    ['not by a single star', dns('single'), false],
    ['not by a wildcard inside a label', dns('www.example.com'), false],
    ['not another address', ip('10.0.0.2'), false],
    ['not an address as a DNS name', dns('10.0.0.1'), false],
  ])('is covered: %s', (_, name, expected) => {
    expect(isCovered(name, names)).toBe(expected)
  })
})

it('lacksNames reports missing wanted names, and ignores unwanted ones', () => {
  expect(lacksNames([dns('a')], [dns('a'), ip('::1')])).toBe(true)
  expect(lacksNames([dns('a'), ip('::1')], [dns('a')])).toBe(false)
  expect(lacksNames([dns('::1')], [ip('::1')])).toBe(true)
})

function dns(value: string): SubjectAltName {
  return { type: 'dns', value }
}

function ip(value: string): SubjectAltName {
  return { type: 'ip', value }
}

function longName(length: number): string {
  return 'abcdefg.'.repeat(32).slice(0, length - 1) + 'z'
}
