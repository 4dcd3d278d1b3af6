import { describe, expect, it } from 'vitest'
import { InvalidFileError } from '../../src/errors.ts'
import { isSameClientCa, parseClientCa, type ClientCa } from '../../src/tls/client-ca.ts'
import { createClientAuthority } from '../fixtures/client-authority.ts'

const DAY_MS = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS)

const one = createClientAuthority({ notAfter: inDays(20) })
const other = createClientAuthority({ notAfter: inDays(10) })
const middle = one.issueAuthority()

const parse = (...texts: readonly string[]): ClientCa =>
  parseClientCa(texts.join(''), { file: 'client-ca.pem', now: new Date() })

describe('a client CA file', () => {
  it('holds one authority or several', () => {
    expect(parse(one.cert).fingerprints).toHaveLength(1)
    const both = parse(one.cert, other.cert)
    expect(both.fingerprints).toHaveLength(2)
    expect(both.notAfter.getTime()).toBe(Math.floor(inDays(10).getTime() / 1000) * 1000)
  })

  it('may hold comments, and an intermediate with its root, in any order', () => {
    const { pem } = parse('# the lab\n', middle.cert, 'what it is for\n', one.cert)
    expect(pem).toBe(middle.cert + one.cert)
  })

  it.each<[what: string, text: string, mend: RegExp]>([
    ['nothing', '', /holds no readable certificate: it must be PEM/],
    ['something else', 'nonsense', /holds no readable certificate/],
    ['half a certificate', one.cert.slice(0, 200), /holds no readable certificate/],
    [
      'a second one that is damaged',
      one.cert + one.cert.replace(/MII../, 'AAAA'),
      /number 2, that cannot be read/,
    ],
    [
      'a certificate that is no authority',
      one.issue().cert,
      /number 1 is no authority .*put the certificate there that signed/,
    ],
    ['one of them that is none', one.cert + one.issue().cert, /number 2 is no authority/],
    [
      'one that has expired',
      one.cert + createClientAuthority({ notBefore: inDays(-9), notAfter: inDays(-1) }).cert,
      /number 2 expired on .*: take it out/,
    ],
    [
      'one whose time is to come',
      createClientAuthority({ notBefore: inDays(1) }).cert,
      /is not valid before/,
    ],
    [
      'an intermediate without its root',
      middle.cert,
      /issued by one that is not in the file: add that one too/,
    ],
    ['more than anybody needs', one.cert.repeat(101), /at most 100/],
  ])('is refused, and the mend named: %s', (_what, text, mend) => {
    expect(() => parse(text)).toThrow(InvalidFileError)
    expect(() => parse(text)).toThrow(mend)
    expect(() => parse(text)).toThrow(/^client-ca\.pem: /)
  })

  it('is the same whatever the order', () => {
    expect(isSameClientCa(parse(one.cert, other.cert), parse('#\n', other.cert, one.cert))).toBe(true)
    expect(isSameClientCa(parse(one.cert, other.cert), parse(one.cert))).toBe(false)
    expect(isSameClientCa(parse(one.cert), parse(other.cert))).toBe(false)
  })
})
