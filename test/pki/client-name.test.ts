import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { clientNameOf, parseClientNameRule, type ClientName } from '../../src/pki/client-name.ts'
import {
  COMMON_NAME,
  createClientAuthority,
  ORGANIZATION,
  type AltName,
  type Attribute,
  type ClientRequest,
} from '../fixtures/client-authority.ts'

const authority = createClientAuthority()

const PRINTABLE = 0x13
const T61 = 0x14
const IA5 = 0x16
const UNIVERSAL = 0x1c
const BMP = 0x1e

function nameIn(request: ClientRequest, setting = 'cn'): ClientName {
  const rule = parseClientNameRule(setting)
  if (!rule.ok) throw new Error(rule.reason)
  return clientNameOf(new X509Certificate(authority.issue(request).cert).raw, rule.value)
}

const cn = (...attributes: readonly Attribute[]): ClientRequest => ({
  subject: attributes.map((one) => [one]),
})

describe('the common name', () => {
  it.each<[what: string, request: ClientRequest, name: string]>([
    ['alone', { subject: 'alice' }, 'alice'],
    ['among others', cn({ oid: ORGANIZATION, value: 'Lab' }, { value: 'alice' }), 'alice'],
    [
      'beside another attribute',
      { subject: [[{ value: 'alice' }, { oid: ORGANIZATION, value: 'x' }]] },
      'alice',
    ],
    ['as PrintableString', cn({ tag: PRINTABLE, value: 'alice' }), 'alice'],
    ['as IA5String', cn({ tag: IA5, value: 'alice' }), 'alice'],
    ['outside ASCII, unchanged', { subject: 'Zoë' }, 'Zoë'],
    ['decomposed, unchanged', { subject: 'Zoe\u0308' }, 'Zoe\u0308'],
    ['with a blank at its end, unchanged', { subject: 'Zoe ' }, 'Zoe '],
    ['with characters that Node would quote', { subject: 'mallory, DNS:alice' }, 'mallory, DNS:alice'],
    ['with a quote', { subject: 'a"b' }, 'a"b'],
    ['with a backslash', { subject: 'a\\b' }, 'a\\b'],
    ['that looks like several attributes', { subject: 'mallory/CN=alice' }, 'mallory/CN=alice'],
    ['that looks like a multi-valued RDN', { subject: 'mallory + CN=alice' }, 'mallory + CN=alice'],
    ['that looks like an attribute', { subject: 'CN=alice' }, 'CN=alice'],
  ])('is the whole name: %s', (_what, request, name) => {
    expect(nameIn(request)).toEqual({ ok: true, name })
  })

  it('is not read from another attribute', () => {
    const request = cn({ oid: ORGANIZATION, value: 'CN=alice\nCN=alice' }, { value: 'mallory' })
    expect(nameIn(request)).toEqual({ ok: true, name: 'mallory' })
  })

  it.each<[what: string, request: ClientRequest, reason: RegExp]>([
    ['none', cn({ oid: ORGANIZATION, value: 'alice' }), /^no common name/],
    ['two', cn({ value: 'mallory' }, { value: 'alice' }), /^more than one/],
    ['the same twice', cn({ value: 'alice' }, { value: 'alice' }), /^more than one/],
    ['two in one RDN', { subject: [[{ value: 'alice' }, { value: 'mallory' }]] }, /^more than one/],
    ['an empty name', { subject: '' }, /not a valid username/],
    ['NUL at the end', { subject: 'alice\0' }, /not a valid username/],
    ['NUL and another name', { subject: 'alice\0.evil.example' }, /not a valid username/],
    ['a line break', { subject: 'mallory\nCN=alice' }, /not a valid username/],
    ['a C1 control character', { subject: 'alice\u0085' }, /not a valid username/],
    ['an escape sequence', { subject: '\x1b[2Jalice' }, /not a valid username/],
    ['a direction character', { subject: 'alice\u202e' }, /not a valid username/],
    ['a byte order mark', { subject: '\ufeffalice' }, /not a valid username/],
    ['a zero-width space', { subject: 'al\u200bice' }, /not a valid username/],
    ['a line separator', { subject: 'alice\u2028' }, /not a valid username/],
    ['a name that is too long', { subject: 'a'.repeat(256) }, /not a valid username/],
    ['Latin-1 as PrintableString', cn({ tag: PRINTABLE, value: Buffer.from([0xe9]) }), /not valid ASCII/],
    ['Latin-1 as T61String', cn({ tag: T61, value: Buffer.from('alice') }), /neither as UTF-8 nor as ASCII/],
    ['UTF-16', cn({ tag: BMP, value: Buffer.from('\0a\0l', 'latin1') }), /neither as UTF-8 nor as ASCII/],
    [
      'UTF-32',
      cn({ tag: UNIVERSAL, value: Buffer.from('\0\0\0a', 'latin1') }),
      /neither as UTF-8 nor as ASCII/,
    ],
  ])('is refused: %s', (_what, request, reason) => {
    expect(nameIn(request)).toEqual({ ok: false, reason: expect.stringMatching(reason) as string })
  })
})

const EMAIL = 1
const DNS = 2
const URI = 6
const alt = (...altNames: readonly AltName[]): ClientRequest => ({ subject: 'mallory', altNames })

// OpenSSL refuses such certificates, so only a unit test reaches this code.
it.each<[what: string, bytes: readonly number[]]>([
  ['Latin-1', [0x61, 0xe9, 0x61, 0x61, 0x61]],
  ['overlong UTF-8 of "a"', [0xc1, 0xa1, 0x61, 0x61, 0x61]],
])('a common name with invalid UTF-8 is refused: %s', (_what, bytes) => {
  const raw = Buffer.from(new X509Certificate(authority.issue({ subject: 'alice' }).cert).raw)
  Buffer.from(bytes).copy(raw, raw.indexOf('alice'))
  expect(clientNameOf(raw, { kind: 'cn' })).toMatchObject({
    ok: false,
    reason: expect.stringMatching(/not valid UTF-8/) as string,
  })
})

describe('an alternative name', () => {
  it.each<[setting: string, names: readonly AltName[], name: string]>([
    ['email', [{ tag: EMAIL, value: 'alice@example.org' }], 'alice@example.org'],
    ['email:*@example.org', [{ tag: EMAIL, value: 'alice@example.org' }], 'alice'],
    [
      'email:*@example.org',
      [
        { tag: EMAIL, value: 'a@other' },
        { tag: EMAIL, value: 'b@example.org' },
      ],
      'b',
    ],
    ['email:*@example.org', [{ tag: EMAIL, value: 'a,DNS:b@example.org' }], 'a,DNS:b'],
    ['dns', [{ tag: DNS, value: 'Alice.Example' }], 'alice.example'],
    ['dns:*.Users.example', [{ tag: DNS, value: 'ALICE.users.example' }], 'alice'],
    [
      'dns',
      [
        { tag: DNS, value: 'alice' },
        { tag: EMAIL, value: 'mallory' },
      ],
      'alice',
    ],
    ['uri', [{ tag: URI, value: 'spiffe://lab/user/alice' }], 'spiffe://lab/user/alice'],
    ['uri:spiffe://lab/user/*', [{ tag: URI, value: 'spiffe://lab/user/alice' }], 'alice'],
    ['uri:spiffe://lab/*/login', [{ tag: URI, value: 'spiffe://lab/alice/login' }], 'alice'],
  ])('yields the user by %s', (setting, names, name) => {
    expect(nameIn(alt(...names), setting)).toEqual({ ok: true, name })
  })

  it.each<[what: string, setting: string, names: readonly AltName[], reason: RegExp]>([
    ['none at all', 'email', [], /^no e-mail address/],
    ['only another kind', 'email', [{ tag: DNS, value: 'alice' }], /^no e-mail address/],
    ['another kind that looks like it', 'email', [{ tag: URI, value: 'email:alice' }], /^no e-mail address/],
    [
      'two',
      'dns',
      [
        { tag: DNS, value: 'alice' },
        { tag: DNS, value: 'bob' },
      ],
      /^more than one DNS/,
    ],
    [
      'the same twice',
      'dns',
      [
        { tag: DNS, value: 'a' },
        { tag: DNS, value: 'A' },
      ],
      /^more than one DNS/,
    ],
    ['no match', 'email:*@example.org', [{ tag: EMAIL, value: 'alice@example.com' }], /^no e-mail/],
    [
      'a match with more text',
      'email:*@example.org',
      [{ tag: EMAIL, value: 'a@example.org.evil' }],
      /^no e-mail/,
    ],
    [
      'nothing where the star is',
      'email:*@example.org',
      [{ tag: EMAIL, value: '@example.org' }],
      /^no e-mail/,
    ],
    ['a second @', 'email:*@b', [{ tag: EMAIL, value: 'alice@evil@b' }], /^no e-mail/],
    [
      'a path under the star',
      'uri:spiffe://lab/user/*',
      [{ tag: URI, value: 'spiffe://lab/user/a/b' }],
      /^no URI/,
    ],
    [
      'a query under the star',
      'uri:spiffe://lab/user/*',
      [{ tag: URI, value: 'spiffe://lab/user/a?b' }],
      /^no URI/,
    ],
    ['another scheme', 'uri:spiffe://lab/user/*', [{ tag: URI, value: 'http://lab/user/alice' }], /^no URI/],
    ['one more label under the star', 'dns:*.x', [{ tag: DNS, value: 'alice.evil.x' }], /^no DNS/],
    ['a wildcard', 'dns:*.x', [{ tag: DNS, value: '*.x' }], /wildcard/],
    ['NUL', 'dns', [{ tag: DNS, value: 'alice\0.evil' }], /blanks or control/],
    ['a line break', 'dns', [{ tag: DNS, value: 'alice\nDNS:bob' }], /blanks or control/],
    ['a blank', 'uri', [{ tag: URI, value: 'x, DNS:alice' }], /blanks or control/],
    ['a byte outside ASCII', 'email', [{ tag: EMAIL, value: 'alic\u00e9@x' }], /not valid ASCII/],
    ['a name that is too long', 'uri', [{ tag: URI, value: `x:${'a'.repeat(255)}` }], /not a valid username/],
  ])('is refused: %s', (_what, setting, names, reason) => {
    expect(nameIn(alt(...names), setting)).toEqual({
      ok: false,
      reason: expect.stringMatching(reason) as string,
    })
  })

  it('is never read as a common name, nor the common name as an alternative name', () => {
    expect(nameIn(alt({ tag: DNS, value: 'alice' }))).toEqual({ ok: true, name: 'mallory' })
    expect(nameIn({ subject: 'alice' }, 'dns').ok).toBe(false)
  })
})

it('bytes that are not a certificate yield no name', () => {
  const { raw } = new X509Certificate(authority.issue().cert)
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('x'),
    raw.subarray(0, 100),
    Buffer.from([0x30, 0x80, 0, 0]),
  ]) {
    expect(clientNameOf(bytes, { kind: 'cn' }).ok).toBe(false)
  }
})

it('the attribute is found by its complete identifier', () => {
  expect(nameIn(cn({ oid: `${COMMON_NAME}.1`, value: 'alice' })).ok).toBe(false)
})

describe('the setting', () => {
  it.each([
    '',
    'CN',
    'cn:',
    'cn:*',
    'name',
    'email:',
    'email:alice@x',
    'email:*@*',
    'uri:a b*',
    'dns:*.bücher',
  ])('refuses %j and names the fix', (text) => {
    const parsed = parseClientNameRule(text)
    expect(parsed).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/write cn|exactly one/) as string,
    })
  })
})
