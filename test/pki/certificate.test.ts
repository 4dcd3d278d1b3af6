import { X509Certificate, createPrivateKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'

import { InvalidFileError } from '../../src/errors/errors.ts'
import { isRenewalDue, parseBundle, parseRoot } from '../../src/pki/certificate.ts'
import { issueLeaf, issueRoot, type IssuedCertificate } from '../../src/pki/issue.ts'
import type { SubjectAltName } from '../../src/pki/names.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const DAY_MS = 86_400_000
const ORIGIN = { certFile: 'tls.crt', keyFile: 'tls.key', now: NOW }
const FILES = { rootCert: 'root.crt', rootKey: 'root.key', marker: 'root.sha256' }
const NAMES: readonly SubjectAltName[] = [
  { type: 'dns', value: '*.example.com' },
  { type: 'ip', value: '10.0.0.1' },
  { type: 'ip', value: '2001:db8::1' },
]
const root = issueRoot({ now: NOW })
const leaf = issueLeaf({ root, names: NAMES, now: NOW })

describe('a bundle', () => {
  it('gives the facts of the leaf, with its names in canonical form', () => {
    const bundle = parseBundle(leaf.certPem + root.certPem, leaf.keyPem, ORIGIN)
    expect(bundle.leaf).toEqual({
      notBefore: new Date(NOW.getTime() - 3_600_000),
      notAfter: new Date(NOW.getTime() + 90 * DAY_MS - 3_600_000),
      subjectAltNames: NAMES,
      fingerprint: new X509Certificate(leaf.certPem).fingerprint256,
    })
  })

  it('keeps both texts unchanged', () => {
    const chain = `a comment\n${leaf.certPem}${root.certPem}`
    expect(parseBundle(chain, leaf.keyPem, ORIGIN)).toMatchObject({ certPem: chain, keyPem: leaf.keyPem })
  })

  it('does not read a part of a quoted name as a name', () => {
    const names: readonly SubjectAltName[] = [
      { type: 'dns', value: 'a.example, DNS:evil.example' },
      { type: 'dns', value: 'b.example' },
    ]
    const { certPem, keyPem } = issueLeaf({ root, names, now: NOW })
    expect(parseBundle(certPem, keyPem, ORIGIN).leaf.subjectAltNames).toEqual([
      { type: 'dns', value: 'b.example' },
    ])
  })

  it.each([
    [
      'a chain with the root first',
      root.certPem + leaf.certPem,
      leaf.keyPem,
      'tls.key',
      'put the leaf first',
    ],
    [
      'the key of another',
      leaf.certPem,
      root.keyPem,
      'tls.key',
      'does not belong to the first certificate in tls.crt',
    ],
    ['no certificate', 'nonsense', leaf.keyPem, 'tls.crt', 'no readable certificate'],
    ['an empty certificate', '', leaf.keyPem, 'tls.crt', 'no readable certificate'],
    ['half a certificate', leaf.certPem.slice(0, 300), leaf.keyPem, 'tls.crt', 'no readable certificate'],
    ['no key', leaf.certPem, 'nonsense', 'tls.key', 'no readable private key'],
    ['half a key', leaf.certPem, leaf.keyPem.slice(0, 100), 'tls.key', 'no readable private key'],
    ['an encrypted key', leaf.certPem, encrypted(leaf), 'tls.key', 'store the key unencrypted'],
  ])('is refused: %s', (_, certPem, keyPem, file, reason) => {
    const error = refusalOf(() => parseBundle(certPem, keyPem, ORIGIN))
    expect(error).toMatchObject({ file, reason: expect.stringContaining(reason) as string })
  })

  it('is refused without names', () => {
    const nameless = issueLeaf({ root, names: [], now: NOW })
    const error = refusalOf(() => parseBundle(nameless.certPem, nameless.keyPem, ORIGIN))
    expect(error.reason).toContain('no subject alternative names')
  })

  it('is refused from the second in which it expires', () => {
    const { notAfter } = parseBundle(leaf.certPem, leaf.keyPem, ORIGIN).leaf
    const before = new Date(notAfter.getTime() - 1)
    expect(() => parseBundle(leaf.certPem, leaf.keyPem, { ...ORIGIN, now: before })).not.toThrow()
    const error = refusalOf(() => parseBundle(leaf.certPem, leaf.keyPem, { ...ORIGIN, now: notAfter }))
    expect(error.reason).toBe('expired on 2030-03-31T23:00:00.000Z: replace it with a renewed one')
  })

  it('never shows the key in an error', () => {
    const error = refusalOf(() => parseBundle(leaf.certPem, leaf.keyPem.slice(0, 150), ORIGIN))
    expect(`${error.stack ?? ''} ${String(error.cause)}`).not.toContain(leaf.keyPem.split('\n')[1])
  })
})

describe('a leaf is due for renewal', () => {
  const { certPem, keyPem } = leaf
  const bundle = parseBundle(certPem, keyPem, ORIGIN)
  const issuer = parseRoot({ certPem: root.certPem }, FILES)
  const twoThirds = bundle.leaf.notBefore.getTime() + 60 * DAY_MS

  it.each([
    ['not when it is new', NAMES, NOW.getTime(), false],
    ['not just before two thirds of its life', NAMES, twoThirds - 1, false],
    ['at two thirds of its life', NAMES, twoThirds, true],
    [
      'not when the clock was set back, because the leaf is valid for clients with the right time',
      NAMES,
      0,
      false,
    ],
    ['not when the same names have another order', [...NAMES].reverse(), NOW.getTime(), false],
    ['when a name is added', [...NAMES, { type: 'dns' as const, value: 'more' }], NOW.getTime(), true],
    ['when a name is removed', NAMES.slice(1), NOW.getTime(), true],
  ])('%s', (_, names, now, due) => {
    expect(isRenewalDue(bundle, issuer, { names, now: new Date(now) })).toBe(due)
  })

  it('not when it ends with its root, because the next leaf would too', () => {
    const late = new Date(issuer.notAfter.getTime() - 10 * DAY_MS)
    const last = issueLeaf({ root, names: NAMES, now: late })
    const lastBundle = parseBundle(last.certPem, last.keyPem, { ...ORIGIN, now: late })
    const wanted = { names: NAMES, now: new Date(issuer.notAfter.getTime() - DAY_MS) }
    expect(isRenewalDue(lastBundle, issuer, wanted)).toBe(false)
  })
})

function encrypted({ keyPem }: IssuedCertificate): string {
  const options = { format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'secret' } as const
  return createPrivateKey(keyPem).export(options).toString()
}

function refusalOf(action: () => unknown): InvalidFileError {
  try {
    action()
  } catch (error) {
    if (error instanceof InvalidFileError) return error
    throw error
  }
  throw new Error('It was accepted.')
}
