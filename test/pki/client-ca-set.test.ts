import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { InvalidFileError } from '../../src/errors/errors.ts'
import {
  isAcceptedClient,
  isSameClientCa,
  parseClientCa,
  type ClientCa,
} from '../../src/pki/client-ca-set.ts'
import { createClientAuthority, type ClientPair } from '../fixtures/client-authority.ts'

const DAY_MS = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS)

const one = createClientAuthority({ notAfter: inDays(20) })
const other = createClientAuthority({ notAfter: inDays(10) })
const middle = one.issueAuthority()
const expired = createClientAuthority({ notBefore: inDays(-9), notAfter: inDays(-1) })
const tomorrow = createClientAuthority({ notBefore: inDays(1) })

const parse = (...texts: readonly string[]): ClientCa =>
  parseClientCa(texts.join(''), { file: 'client-ca.pem', now: new Date() })

describe('a client CA file', () => {
  it('holds one CA or several', () => {
    expect(parse(one.cert).fingerprints).toHaveLength(1)
    const both = parse(one.cert, other.cert)
    expect(both.fingerprints).toHaveLength(2)
    expect(both.notAfter).toEqual(new Date(new X509Certificate(other.cert).validTo))
  })

  it('may hold comments, and an intermediate with its root, in any order', () => {
    const { pem } = parse('# the lab\n', middle.cert, 'what it is for\n', one.cert)
    expect(pem).toBe(middle.cert + one.cert)
  })

  it.each<[what: string, text: string, hint: RegExp]>([
    ['nothing', '', /holds no readable certificate: it must be PEM/],
    ['something else', 'nonsense', /holds no readable certificate/],
    ['half a certificate', one.cert.slice(0, 200), /holds no readable certificate/],
    [
      'a second one that is damaged',
      one.cert + one.cert.replace(/MII../, 'AAAA'),
      /unreadable certificate, number 2/,
    ],
    [
      'a certificate that is not a CA',
      one.issue().cert,
      /number 1 is not a CA certificate .*use the certificate of the CA that signed/,
    ],
    ['a second one that is not a CA', one.cert + one.issue().cert, /number 2 is not a CA/],
    ['only an expired CA', expired.cert, /number 1 expired on .*: remove it/],
    [
      'an expired intermediate with its root, which does not replace it',
      one.cert + one.issueAuthority({ notAfter: inDays(-0.5) }).cert,
      /number 2 expired on .*: remove it/,
    ],
    ['only a CA that is not valid yet', tomorrow.cert, /is not valid before/],
    [
      'an intermediate without its root',
      middle.cert,
      /issued by a CA that is not in the file: add that CA too/,
    ],
    ['more CAs than the limit', one.cert.repeat(101), /the limit is 100/],
  ])('is refused with the fix: %s', (_what, text, hint) => {
    expect(() => parse(text)).toThrow(InvalidFileError)
    expect(() => parse(text)).toThrow(hint)
    expect(() => parse(text)).toThrow(/^client-ca\.pem: /)
  })

  it('is the same in any order', () => {
    expect(isSameClientCa(parse(one.cert, other.cert), parse('#\n', other.cert, one.cert))).toBe(true)
    expect(isSameClientCa(parse(one.cert, other.cert), parse(one.cert))).toBe(false)
    expect(isSameClientCa(parse(one.cert), parse(other.cert))).toBe(false)
  })

  it('is the same without the CAs that are left out', () => {
    expect(isSameClientCa(parse(one.cert), parse(expired.cert, one.cert))).toBe(true)
  })
})

describe('a CA outside its validity', () => {
  it('is left out with the fix, and the others are in force', () => {
    const ca = parse(expired.cert, one.cert, tomorrow.cert)
    expect(ca.pem).toBe(one.cert)
    expect(ca.fingerprints).toEqual(parse(one.cert).fingerprints)
    expect(ca.notAfter).toEqual(parse(one.cert).notAfter)
    expect(ca.leftOut).toMatchObject([
      { number: 1, reason: expect.stringMatching(/^expired on /) as string },
      { number: 3, reason: expect.stringMatching(/^is not valid before /) as string },
    ])
    expect(ca.leftOut.map(({ hint }) => hint.slice(0, 11))).toEqual(['remove it, ', 'set this ma'])
  })

  it('is left out together with the CAs that it issued', () => {
    const ca = parse(expired.cert, expired.issueAuthority().cert, one.cert)
    expect(ca.pem).toBe(one.cert)
    expect(ca.leftOut).toMatchObject([{ number: 1 }, { number: 2, hint: 'replace that CA first' }])
  })
})

describe('isAcceptedClient', () => {
  const sibling = one.issueAuthority({ subject: 'printers' })
  const accepts = (pair: ClientPair, ...file: readonly ClientPair[]) =>
    isAcceptedClient(new X509Certificate(pair.cert), parse(...file.map(({ cert }) => cert)))

  it('accepts certificates of an intermediate in the file, not those of its sibling or root', () => {
    for (const file of [
      [middle, one],
      [one, middle],
      [one, middle, other],
    ]) {
      expect(accepts(middle.issue(), ...file)).toBe(true)
      expect(accepts(sibling.issue(), ...file)).toBe(false)
      expect(accepts(one.issue(), ...file)).toBe(false)
    }
    expect(accepts(other.issue(), one, middle, other)).toBe(true)
  })

  it('rejects certificates of another CA with the same name', () => {
    const namesake = sibling.issueAuthority({ subject: 'client intermediate' })
    expect(accepts(namesake.issue(), middle, one)).toBe(false)
  })

  it('accepts every certificate below the roots if the file holds only roots', () => {
    expect(accepts(middle.issue(), one, other)).toBe(true)
    expect(accepts(one.issue(), one, one)).toBe(true)
  })

  it('rejects a CA of the file as a client', () => {
    expect(accepts(one, one)).toBe(false)
    expect(accepts(middle, one, middle)).toBe(false)
  })

  it('rejects certificates of a root whose intermediate has expired', () => {
    const ended = one.issueAuthority({ subject: 'ended', notAfter: inDays(-0.5) })
    expect(accepts(one.issue(), one, middle, ended)).toBe(false)
    expect(accepts(one.issue(), one, ended, other)).toBe(false)
  })
})
