import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

import { parseRoot } from '../../src/pki/certificate.ts'
import { issueLeaf, issueRoot } from '../../src/pki/issue.ts'
import { openKeystore } from '../../src/certificates/state-folder/keystore.ts'
import {
  notPermitted,
  parseNameConstraints,
  permittedByBoth,
  permittedNames,
} from '../../src/pki/name-constraints.ts'
import type { SubjectAltName } from '../../src/pki/names.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const openssl = findProgram('openssl')
const NOW = new Date()

const NAMES = [dns('localhost'), dns('proxy'), dns('*.lab.example'), ip('10.0.0.1'), ip('2001:db8::1')]
const PERMITTED = [dns('localhost'), dns('proxy'), dns('lab.example'), ip('10.0.0.1'), ip('2001:db8::1')]

describe('a constrained root', () => {
  it.each([
    ['names and addresses', NAMES, PERMITTED],
    ['only names', [dns('proxy')], [dns('proxy')]],
    ['only addresses', [ip('::'), ip('::ffff:102:304')], [ip('::'), ip('::ffff:102:304')]],
    ['names below another name', [dns('a.lab.example'), dns('*.lab.example')], [dns('lab.example')]],
    ['a name twice', [dns('*.proxy'), dns('proxy')], [dns('proxy')]],
    ['enough names for a length of two bytes', many(4), many(4)],
    ['enough names for a length of three bytes', many(20), many(20)],
  ])('lists its permitted names: %s', (_, names, permitted) => {
    const { certPem } = issueRoot({ now: NOW, constrainTo: names })
    expect(parseNameConstraints(new X509Certificate(certPem).raw)).toEqual(permitted)
  })

  it('differs from a root without constraints', () => {
    expect(parseNameConstraints(new X509Certificate(issueRoot({ now: NOW }).certPem).raw)).toBeUndefined()
  })

  it.each([
    ['a permitted name', dns('proxy'), true],
    ['a name below', dns('a.proxy'), true],
    ['a wildcard', dns('*.lab.example'), true],
    ['the base of a wildcard', dns('lab.example'), true],
    ['a name that ends alike', dns('myproxy'), false],
    ['the name above', dns('example'), false],
    ['another name', dns('other'), false],
    ['a permitted address', ip('2001:db8::1'), true],
    ['another address', ip('10.0.0.2'), false],
    ['another address that ends alike', ip('110.0.0.1'), false],
  ])('covers or does not cover %s', (_, name, isPermitted) => {
    expect(notPermitted([name], permittedNames(NAMES))).toEqual(isPermitted ? [] : [name])
  })
})

describe('the names that two roots permit', () => {
  it.each([
    ['any name, when both permit any', undefined, undefined, undefined],
    ['the names of one root, when the other permits all', NAMES, undefined, NAMES],
    ['the common names', [dns('a.example'), dns('proxy')], [dns('proxy'), ip('10.0.0.1')], [dns('proxy')]],
    ['the narrower of two', [dns('example')], [dns('a.example'), ip('::1')], [dns('a.example')]],
    ['no names, when they have none in common', [dns('a')], [dns('b'), ip('::1')], []],
  ])('is %s', (_, one, other, both) => {
    expect(permittedByBoth(one, other)).toEqual(both)
    expect(permittedByBoth(other, one)).toEqual(both)
  })
})

describe.skipIf(openssl === undefined)('openssl in strict mode', () => {
  it('finds the constraints critical, with single addresses', () => {
    const { rootFile } = write(NAMES, NAMES)
    const text = run(['x509', '-in', rootFile, '-noout', '-text'])
    expect(text).toMatch(
      /Name Constraints: critical\s+Permitted:\s+DNS:localhost\s+DNS:proxy\s+DNS:lab\.example\s+IP:10\.0\.0\.1\/255\.255\.255\.255\s+IP:2001:DB8:0:0:0:0:0:1\/FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF\s/,
    )
  })

  it.each([
    ['the names themselves', NAMES, NAMES],
    ['fewer names', NAMES, [dns('proxy')]],
    ['a name below a wildcard', NAMES, [dns('any.lab.example')]],
    ['only names under a root for only names', [dns('proxy')], [dns('proxy')]],
    ['only addresses under a root for only addresses', [ip('10.0.0.1')], [ip('10.0.0.1')]],
  ])('accepts a leaf for %s', (_, permitted, names) => {
    expect(verify(write(permitted, names))).toMatch(/leaf\.crt: OK/)
  })

  it.each([
    ['another name', NAMES, [dns('proxy'), dns('other.example')]],
    ['another IPv4 address', NAMES, [ip('10.0.0.2')]],
    ['another IPv6 address', NAMES, [ip('2001:db8::2')]],
    ['an address under a root for only names', [dns('proxy')], [dns('proxy'), ip('10.0.0.1')]],
    ['an IPv6 address under a root for only names', [dns('proxy')], [ip('2001:db8::1')]],
    ['a name under a root for only addresses', [ip('10.0.0.1')], [dns('proxy')]],
  ])('refuses a leaf for %s', (_, permitted, names) => {
    expect(() => verify(write(permitted, names))).toThrow(/(permitted|excluded) subtree violation/)
  })
})

describe('a state folder with a constrained root', () => {
  it('keeps its first names, and refuses other names with a list of them and the fix', async () => {
    const folder = path.join(tempFolder(), 'state')
    const open = (names: readonly SubjectAltName[]) =>
      openKeystore({ folder, names, constrainTo: NAMES, now: NOW })
    expect((await open(NAMES)).root.permitted).toEqual(PERMITTED)
    await expect(open([dns('any.lab.example')])).resolves.toMatchObject({
      issued: { root: false, leaf: true },
    })
    await expect(open([...NAMES, dns('new.example'), ip('10.0.0.2')])).rejects.toThrow(
      /root\.crt: is valid for localhost, proxy, .* only \(SIDECAR_CA_CONSTRAIN\), not for new\.example, 10\.0\.0\.2: remove these names from SIDECAR_HOSTS; or, to get a root that permits them, empty this folder/,
    )
  })

  it('refuses other names at runtime too, and keeps the leaf in force', async () => {
    const folder = path.join(tempFolder(), 'state')
    const keystore = await openKeystore({ folder, names: NAMES, constrainTo: NAMES, now: NOW })
    const { bundle } = keystore
    await expect(keystore.renewIfDue([dns('new.example')], NOW)).rejects.toThrow(/not for new\.example/)
    expect(keystore.bundle).toBe(bundle)
  })
})

function dns(value: string): SubjectAltName {
  return { type: 'dns', value }
}

function ip(value: string): SubjectAltName {
  return { type: 'ip', value }
}

function many(count: number): readonly SubjectAltName[] {
  return Array.from({ length: count }, (_, index) => dns(`name-${index}.with-a-long-name.example`))
}

function write(permitted: readonly SubjectAltName[], names: readonly SubjectAltName[]) {
  const folder = tempFolder()
  const root = issueRoot({ now: NOW, constrainTo: permitted })
  const [rootFile, leafFile] = [path.join(folder, 'root.crt'), path.join(folder, 'leaf.crt')]
  const rootPaths = { rootCert: rootFile, rootKey: 'root.key', marker: 'root.sha256' }
  expect(parseRoot(root, rootPaths).permitted).toEqual(permittedNames(permitted))
  writeFileSync(rootFile, root.certPem)
  writeFileSync(leafFile, issueLeaf({ root, names, now: NOW }).certPem)
  return { rootFile, leafFile }
}

function verify({ rootFile, leafFile }: ReturnType<typeof write>): string {
  return run(['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', rootFile, leafFile])
}

function run(args: readonly string[]): string {
  return execFileSync(openssl ?? 'openssl', args, { encoding: 'utf8', stdio: 'pipe' })
}
