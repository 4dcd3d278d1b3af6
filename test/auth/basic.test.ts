// Tests parsing of Basic credentials.

import { describe, expect, it } from 'vitest'
import { parseAuthorization } from '../../src/auth/authorization-header.ts'
import { formatChallenge, parseBasic } from '../../src/auth/basic.ts'

const encode = (text: string, encoding: BufferEncoding = 'utf8'): string =>
  Buffer.from(text, encoding).toString('base64')
/** A header with these bytes, one for each character. */
const bytes = (text: string): string => `Basic ${encode(text, 'latin1')}`
const credentials = (username: string, password: string) => ({ kind: 'credentials', username, password })

describe('parseBasic accepts', () => {
  it.each<[what: string, header: string, username: string, password: string]>([
    ['the usual header', `Basic ${encode('alice:secret')}`, 'alice', 'secret'],
    ['the scheme in lower case', `basic ${encode('alice:secret')}`, 'alice', 'secret'],
    ['the scheme in mixed case', `bAsIc ${encode('alice:secret')}`, 'alice', 'secret'],
    ['several spaces', `Basic   ${encode('alice:secret')}`, 'alice', 'secret'],
    ['no padding', `Basic ${encode('alice:pw').replace(/=+$/, '')}`, 'alice', 'pw'],
    ['a colon in the password', `Basic ${encode('alice:a:b:')}`, 'alice', 'a:b:'],
    ['UTF-8', `Basic ${encode('jürgen:pässwörd€')}`, 'jürgen', 'pässwörd€'],
    ['Latin-1 from an older client', `Basic ${encode('jürgen:pässwörd', 'latin1')}`, 'jürgen', 'pässwörd'],
    ['a password of blanks', `Basic ${encode('alice:   ')}`, 'alice', '   '],
    ['blanks around both, as part of both', `Basic ${encode(' alice : pw ')}`, ' alice ', ' pw '],
    ['a byte order mark, as part of the name', `Basic ${encode('\ufeffalice:pw')}`, '\ufeffalice', 'pw'],
    ['a composed letter as it is', `Basic ${encode('jos\u00e9:pw')}`, 'jos\u00e9', 'pw'],
    ['a decomposed letter as it is', `Basic ${encode('jose\u0301:pw')}`, 'jose\u0301', 'pw'],
    ['an overlong slash as Latin-1', bytes('a:\xc0\xaf'), 'a', '\u00c0\u00af'],
    ['half a UTF-8 letter as Latin-1', bytes('a:\xc3'), 'a', '\u00c3'],
    ['UTF-8 beside Latin-1 as Latin-1', bytes('\xc3\xa9:\xe9'), '\u00c3\u00a9', '\u00e9'],
    ['characters outside the basic plane', `Basic ${encode('a:\u{1f511}')}`, 'a', '\u{1f511}'],
    ['a long name', `Basic ${encode(`${'a'.repeat(12_000)}:b`)}`, 'a'.repeat(12_000), 'b'],
  ])('%s', (_what, header, username, password) => {
    expect(parseBasic(header)).toEqual(credentials(username, password))
  })
})

it.each([
  ['without the header', undefined],
  ['of podman without a login, an empty name and password', 'Basic Og=='],
  ['with the same without padding', 'Basic Og'],
])('a request %s has no credentials', (_what, header) => {
  expect(parseBasic(header)).toEqual({ kind: 'absent' })
})

describe('parseAuthorization', () => {
  it.each<[what: string, header: string | undefined, expected: object]>([
    ['a token', 'Bearer a.b-c_d', { kind: 'token', token: 'a.b-c_d' }],
    ['the scheme in any case', 'bEARER abc', { kind: 'token', token: 'abc' }],
    ['several spaces', 'Bearer   abc', { kind: 'token', token: 'abc' }],
    ['a token of any characters, for its own check', 'Bearer "<>"', { kind: 'token', token: '"<>"' }],
    ['Basic', bytes('alice:pw'), credentials('alice', 'pw')],
    ['nothing', undefined, { kind: 'absent' }],
  ])('reads %s', (_what, header, expected) => {
    expect(parseAuthorization(header)).toEqual(expected)
  })

  it.each([
    ['the scheme alone', 'Bearer'],
    ['the scheme with a blank', 'Bearer '],
    ['two tokens', 'Bearer abc def'],
    ['both schemes', `Bearer abc, Basic ${encode('alice:pw')}`],
    ['the schemes the other way round', `Basic ${encode('alice:pw')}, Bearer abc`],
    ['a tab', 'Bearer\tabc'],
    ['another scheme with the same start', 'Bearers abc'],
  ])('refuses %s', (_what, header) => {
    expect(parseAuthorization(header)).toMatchObject({ kind: 'malformed' })
  })
})

describe('parseBasic refuses', () => {
  it.each<[what: string, header: string, reason: string]>([
    ['an empty header', '', 'the scheme is unknown, not Basic'],
    ['the token alone', encode('alice:secret'), 'the scheme is unknown, not Basic'],
    ['Bearer', 'Bearer s3cr3t', 'the scheme is Bearer, not Basic'],
    ['another scheme with the same start', `Basically ${encode('a:b')}`, 'the scheme is unknown, not Basic'],
    ['a tab for a space', `Basic\t${encode('a:b')}`, 'the scheme is unknown, not Basic'],
    ['the scheme alone', 'Basic', 'the credentials have no colon'],
    ['the scheme with a blank', 'Basic ', 'the credentials have no colon'],
    ['the scheme with a colon', `Basic: ${encode('a:b')}`, 'the scheme is unknown, not Basic'],
    ['the scheme in quotes', `"Basic" ${encode('a:b')}`, 'the scheme is unknown, not Basic'],
    [
      'a letter that lower case turns into a letter of the scheme',
      'BAS\u0130C YTpi',
      'the scheme is unknown, not Basic',
    ],
    ['text that is not base64', 'Basic alice:s3cr3t', 'the credentials are not base64'],
    ['base64 with a space in it', 'Basic YWxp Y2U6cHc=', 'the credentials are not base64'],
    ['base64 with a tab in it', 'Basic YWxp\tY2U6cHc=', 'the credentials are not base64'],
    ['base64 with a blank behind it', 'Basic YWxpY2U6cHc= ', 'the credentials are not base64'],
    ['base64 of two lines', 'Basic YWxp\r\nY2U6cHc=', 'the credentials are not base64'],
    ['base64 with half of its padding', 'Basic YTpiYw=', 'the credentials are not base64'],
    ['base64 with padding inside', 'Basic YTo=Yg==', 'the credentials are not base64'],
    ['base64 that ends inside a byte', 'Basic YTpiY', 'the credentials are not base64'],
    ['padding alone', 'Basic ====', 'the credentials are not base64'],
    ['bytes beyond ASCII in the header', 'Basic YTpi\xff', 'the credentials are not base64'],
    ['parameters', 'Basic YTpi charset="UTF-8"', 'the credentials are not base64'],
    ['base64 with bits left over', 'Basic YWxpY2U6cHd=', 'the credentials are not base64'],
    ['base64 with too much padding', 'Basic YTpi==', 'the credentials are not base64'],
    [
      'the alphabet of URLs',
      `Basic ${Buffer.from('a:\xff\xff', 'latin1').toString('base64url')}`,
      'the credentials are not base64',
    ],
    [
      'two credentials in one line',
      `Basic ${encode('a:b')}, Basic ${encode('c:d')}`,
      'the credentials are not base64',
    ],
    ['no colon', `Basic ${encode('s3cr3t')}`, 'the credentials have no colon'],
    ['an empty username', `Basic ${encode(':s3cr3t')}`, 'the username is empty'],
    ['an empty password', `Basic ${encode('alice:')}`, 'the password is empty'],
    [
      'a NUL, where bcrypt stops reading',
      `Basic ${encode('alice:ab\0ab')}`,
      'the credentials contain a control character',
    ],
    ['a line feed', `Basic ${encode('alice:ab\n')}`, 'the credentials contain a control character'],
    [
      'an escape sequence in the name',
      `Basic ${encode('\x1b[2Jalice:ab')}`,
      'the credentials contain a control character',
    ],
    ['a NUL in two bytes', bytes('alice:ab\xc0\x80'), 'the credentials contain a control character'],
    ['half a surrogate pair', bytes('alice:\xed\xa0\x80'), 'the credentials contain a control character'],
    ['the euro sign of Windows', bytes('alice:\x80'), 'the credentials contain a control character'],
    ['a tab', `Basic ${encode('alice:a\tb')}`, 'the credentials contain a control character'],
    ['a DEL', `Basic ${encode('alice:\x7f')}`, 'the credentials contain a control character'],
  ])('%s', (_what, header, reason) => {
    expect(parseBasic(header)).toEqual({ kind: 'malformed', reason })
  })

  it('without repeating what was sent', () => {
    for (const header of [
      's3cr3t',
      'Bearer s3cr3t',
      's3cr3t xyz',
      'Basic s3cr3t',
      `Basic ${encode('s3cr3t')}`,
    ]) {
      expect(JSON.stringify(parseBasic(header))).not.toContain('s3cr3t')
    }
  })
})

describe('formatChallenge', () => {
  it.each<[what: string, realm: string, challenge: string]>([
    ['a plain realm', 'Registry', 'Basic realm="Registry"'],
    ['quotes', 'the "big" one', 'Basic realm="the \\"big\\" one"'],
    ['a backslash', 'a\\b', 'Basic realm="a\\\\b"'],
    ['text that looks like another parameter', 'x", charset="UTF-8', 'Basic realm="x\\", charset=\\"UTF-8"'],
  ])('quotes %s', (_what, realm, challenge) => {
    expect(formatChallenge(realm)).toBe(challenge)
  })

  it.each([
    ['empty', ''],
    ['of two lines', 'a\r\nSet-Cookie: b'],
    ['outside ASCII', 'Régistry'],
  ])('throws for a realm %s', (_what, realm) => {
    expect(() => formatChallenge(realm)).toThrow(RangeError)
  })
})
