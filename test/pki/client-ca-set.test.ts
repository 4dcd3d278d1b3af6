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
  it('holds one authority or several', () => {
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
      /number 2, that cannot be read/,
    ],
    [
      'a certificate that is no authority',
      one.issue().cert,
      /number 1 is no authority .*put the certificate there that signed/,
    ],
    ['one of them that is none', one.cert + one.issue().cert, /number 2 is no authority/],
    ['nothing but what has expired', expired.cert, /number 1 expired on .*: take it out/],
    [
      'an intermediate that has expired, and its root, which does not stand in for it',
      one.cert + one.issueAuthority({ notAfter: inDays(-0.5) }).cert,
      /number 2 expired on .*: take it out/,
    ],
    ['nothing but one whose time is to come', tomorrow.cert, /is not valid before/],
    [
      'an intermediate without its root',
      middle.cert,
      /issued by one that is not in the file: add that one too/,
    ],
    ['more than anybody needs', one.cert.repeat(101), /at most 100/],
  ])('is refused, and the fix named: %s', (_what, text, hint) => {
    expect(() => parse(text)).toThrow(InvalidFileError)
    expect(() => parse(text)).toThrow(hint)
    expect(() => parse(text)).toThrow(/^client-ca\.pem: /)
  })

  it('is the same whatever the order', () => {
    expect(isSameClientCa(parse(one.cert, other.cert), parse('#\n', other.cert, one.cert))).toBe(true)
    expect(isSameClientCa(parse(one.cert, other.cert), parse(one.cert))).toBe(false)
    expect(isSameClientCa(parse(one.cert), parse(other.cert))).toBe(false)
  })

  it('is the same without what is left out', () => {
    expect(isSameClientCa(parse(one.cert), parse(expired.cert, one.cert))).toBe(true)
  })
})

describe('an authority whose time is over or to come', () => {
  it('is left out, and the fix named, and the others are in force', () => {
    const ca = parse(expired.cert, one.cert, tomorrow.cert)
    expect(ca.pem).toBe(one.cert)
    expect(ca.fingerprints).toEqual(parse(one.cert).fingerprints)
    expect(ca.notAfter).toEqual(parse(one.cert).notAfter)
    expect(ca.leftOut).toMatchObject([
      { number: 1, reason: expect.stringMatching(/^expired on /) as string },
      { number: 3, reason: expect.stringMatching(/^is not valid before /) as string },
    ])
    expect(ca.leftOut.map(({ hint }) => hint.slice(0, 11))).toEqual(['take it out', 'set this ma'])
  })

  it('takes along what stands under it', () => {
    const ca = parse(expired.cert, expired.issueAuthority().cert, one.cert)
    expect(ca.pem).toBe(one.cert)
    expect(ca.leftOut).toMatchObject([{ number: 1 }, { number: 2, hint: 'hint that one first' }])
  })
})

describe('accepted is', () => {
  const sibling = one.issueAuthority({ subject: 'printers' })
  const accepts = (pair: ClientPair, ...file: readonly ClientPair[]) =>
    isAcceptedClient(new X509Certificate(pair.cert), parse(...file.map(({ cert }) => cert)))

  it('what an intermediate of the file signed, and neither its sibling’s nor its root’s', () => {
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

  it('not what another of the same name signed', () => {
    const namesake = sibling.issueAuthority({ subject: 'client intermediate' })
    expect(accepts(namesake.issue(), middle, one)).toBe(false)
  })

  it('all that stands under the roots, when the file holds roots alone', () => {
    expect(accepts(middle.issue(), one, other)).toBe(true)
    expect(accepts(one.issue(), one, one)).toBe(true)
  })

  it('no authority of the file as a client', () => {
    expect(accepts(one, one)).toBe(false)
    expect(accepts(middle, one, middle)).toBe(false)
  })

  it('no root in the place of its intermediate that has expired', () => {
    const ended = one.issueAuthority({ subject: 'ended', notAfter: inDays(-0.5) })
    expect(accepts(one.issue(), one, middle, ended)).toBe(false)
    expect(accepts(one.issue(), one, ended, other)).toBe(false)
  })
})
