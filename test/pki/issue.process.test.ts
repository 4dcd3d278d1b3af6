import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { issueLeaf, issueRoot } from '../../src/pki/issue.ts'
import type { SubjectAltName } from '../../src/pki/names.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const openssl = findProgram('openssl')
const NOW = new Date()

const NAMES: readonly SubjectAltName[] = [
  { type: 'dns', value: 'proxy' },
  { type: 'dns', value: '*.example.com' },
  { type: 'ip', value: '192.168.1.10' },
  { type: 'ip', value: '2001:db8::' },
  { type: 'ip', value: '::ffff:102:304' },
]

describe.skipIf(openssl === undefined)('according to openssl', () => {
  it('a leaf is verified under its root, in strict mode and by every name', () => {
    const { rootFile, leafFile } = issueBoth()
    const verify = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', rootFile]
    const names = [
      ['-verify_hostname', 'proxy'],
      ['-verify_hostname', 'any.example.com'],
      ['-verify_ip', '192.168.1.10'],
      ['-verify_ip', '2001:db8::'],
      ['-verify_ip', '::ffff:1.2.3.4'],
    ]
    for (const name of names) expect(run([...verify, ...name, leafFile])).toContain('OK')
    expect(() => run([...verify, '-verify_hostname', 'other', leafFile])).toThrow()
  })

  it('a leaf is refused under another root', () => {
    const { leafFile } = issueBoth()
    const { rootFile } = issueBoth()
    expect(() => run(['verify', '-CAfile', rootFile, leafFile])).toThrow()
  })

  it('the root may sign certificates, also the next root', () => {
    const { rootFile } = issueBoth()
    const text = describeFile(rootFile)
    expect(text).toMatch(/Basic Constraints: critical\s+CA:TRUE\n/)
    expect(text).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\s/)
    expect(text).toContain('NIST CURVE: P-256')
    expect(text).toContain('Signature Algorithm: ecdsa-with-SHA256')
  })

  it('the leaf is for servers only', () => {
    const { leafFile } = issueBoth()
    const text = describeFile(leafFile)
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE\s/)
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature\s/)
    expect(text).toMatch(/Extended Key Usage: \s+TLS Web Server Authentication\s/)
    expect(text).toContain('NIST CURVE: P-256')
  })

  it('the leaf names the key of the root that signed it', () => {
    const { rootFile, leafFile } = issueBoth()
    const identifierOf = (file: string, kind: string) =>
      new RegExp(`${kind} Key Identifier:\\s+([0-9A-F:]{59})\\s`).exec(describeFile(file))?.[1]
    expect(identifierOf(rootFile, 'Subject')).toBeDefined()
    expect(identifierOf(leafFile, 'Authority')).toBe(identifierOf(rootFile, 'Subject'))
    expect(identifierOf(leafFile, 'Subject')).not.toBe(identifierOf(rootFile, 'Subject'))
  })
})

function issueBoth() {
  const folder = tempFolder()
  const root = issueRoot({ now: NOW })
  const leaf = issueLeaf({ root, names: NAMES, now: NOW })
  const [rootFile, leafFile] = [path.join(folder, 'root.crt'), path.join(folder, 'leaf.crt')]
  writeFileSync(rootFile, root.certPem)
  writeFileSync(leafFile, leaf.certPem)
  return { rootFile, leafFile }
}

function describeFile(file: string): string {
  return run(['x509', '-in', file, '-noout', '-text'])
}

function run(args: readonly string[]): string {
  return execFileSync(openssl ?? 'openssl', args, { encoding: 'utf8', stdio: 'pipe' })
}
