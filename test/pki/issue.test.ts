import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'

import { LEAF_VALIDITY_DAYS, ROOT_VALIDITY_DAYS, issueLeaf, issueRoot } from '../../src/pki/issue.ts'
import type { SubjectAltName } from '../../src/pki/names.ts'

const NOW = new Date()
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

const NAMES: readonly SubjectAltName[] = [
  { type: 'dns', value: 'proxy' },
  { type: 'dns', value: '*.example.com' },
  { type: 'ip', value: '192.168.1.10' },
  { type: 'ip', value: '2001:db8::' },
  { type: 'ip', value: '::ffff:102:304' },
]

describe('a root', () => {
  it('is valid for ten years from one hour ago', () => {
    const root = new X509Certificate(issueRoot({ now: NOW }).certPem)
    expect(spanOf(root)).toBe(ROOT_VALIDITY_DAYS * DAY_MS)
    expect(NOW.getTime() - Date.parse(root.validFrom)).toBeLessThan(HOUR_MS + 1000)
    expect(NOW.getTime() - Date.parse(root.validFrom)).toBeGreaterThanOrEqual(HOUR_MS)
  })

  it('has a unique name', () => {
    const subjects = [1, 2].map(() => new X509Certificate(issueRoot({ now: NOW }).certPem).subject)
    for (const subject of subjects) expect(subject).toMatch(/^CN=registry-sidecar root [0-9a-f]{8}$/)
    expect(subjects[0]).not.toBe(subjects[1])
  })

  it('has correct dates after 2050, when the encoding of years changes', () => {
    const root = new X509Certificate(issueRoot({ now: new Date('2049-06-01T12:00:00Z') }).certPem)
    expect(new Date(root.validFrom).toISOString()).toBe('2049-06-01T11:00:00.000Z')
    expect(new Date(root.validTo).getUTCFullYear()).toBe(2059)
  })
})

describe('a leaf', () => {
  it('is valid for ninety days from one hour ago', () => {
    const { leaf } = issueBoth()
    expect(spanOf(leaf)).toBe(LEAF_VALIDITY_DAYS * DAY_MS)
    expect(NOW.getTime() - Date.parse(leaf.validFrom)).toBeGreaterThanOrEqual(HOUR_MS)
  })

  it('does not outlive its root', () => {
    const root = issueRoot({ now: NOW })
    const late = new Date(NOW.getTime() + (ROOT_VALIDITY_DAYS - 10) * DAY_MS)
    const leaf = new X509Certificate(issueLeaf({ root, names: NAMES, now: late }).certPem)
    expect(leaf.validTo).toBe(new X509Certificate(root.certPem).validTo)
  })

  it('has a positive serial number of 128 bits that no other leaf has', () => {
    const root = issueRoot({ now: NOW })
    const serials = Array.from({ length: 20 }, () => {
      return new X509Certificate(issueLeaf({ root, names: NAMES, now: NOW }).certPem).serialNumber
    })
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/)
    expect(new Set(serials).size).toBe(serials.length)
  })

  it('has a new key', () => {
    const { root, leaf } = issueBoth()
    expect(leaf.publicKey.equals(root.publicKey)).toBe(false)
  })
})

function issueBoth() {
  const root = issueRoot({ now: NOW })
  const leaf = issueLeaf({ root, names: NAMES, now: NOW })
  return { root: new X509Certificate(root.certPem), leaf: new X509Certificate(leaf.certPem) }
}

function spanOf(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)
}
