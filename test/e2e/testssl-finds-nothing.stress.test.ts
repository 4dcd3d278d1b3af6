// Runs testssl.sh against the sidecar, with both kinds of key.

import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { selfSigned } from '../fixtures/openssl.ts'
import { findProgram } from '../fixtures/find-program.ts'
import { startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const testssl = findProgram('testssl', 'testssl.sh')

// Findings that a private root cannot avoid.
const EXPECTED: Readonly<Record<string, string>> = {
  cert_revocation:
    'a private root has no revocation service; leaves are valid for 90 days and can be replaced at once',
}

// Findings about the machine, and a check that testssl aborts too early on a busy machine; the tests of the listener
// cover the same.
const NOT_OURS: ReadonlySet<string> = new Set(['engine_problem', 'sessionresumption_ticket'])

const CHECKS = [['-p', '-P', '-S', '-s', '-f'], ['-U']]
const PASSED = ['TLS1_3', 'cipherlist_STRONG', 'PFS', 'cert_chain_of_trust', 'secure_client_renego', 'RC4']

interface Finding {
  readonly id: string
  readonly severity: string
  readonly finding: string
}

/** Resolves to all findings, good and bad. */
async function scan(
  { port, root, folder }: TestSidecar,
  checks: readonly string[],
): Promise<readonly Finding[]> {
  const name = `${checks.join('')}-${randomUUID()}`
  writeFileSync(path.join(folder, 'root.crt'), root.pem)
  const quiet = ['--quiet', '--color', '0', '--warnings', 'off', '--nodns', 'none']
  const limits = ['--connect-timeout', '10', '--openssl-timeout', '10']
  const report = ['--jsonfile', `found${name}.json`, '--add-ca', 'root.crt']
  const openssl = ['--openssl', findProgram('openssl') ?? 'openssl']
  const args = [...quiet, ...limits, ...report, ...openssl, ...checks, `https://localhost:${port}`]
  await new Promise<void>((resolve) => {
    // The exit code is the number of findings; the report contains them.
    execFile(testssl ?? '', args, { cwd: folder, maxBuffer: 64 * 1024 * 1024 }, () => {
      resolve()
    })
  })
  return JSON.parse(readFileSync(path.join(folder, `found${name}.json`), 'utf8')) as readonly Finding[]
}

async function scanAll(
  sidecar: TestSidecar,
  groups: readonly (readonly string[])[],
): Promise<readonly Finding[]> {
  const scanTwice = async (checks: readonly string[]): Promise<readonly Finding[]> => {
    const found = await scan(sidecar, checks)
    if (complaintsIn(found).length === 0) return found
    // On a busy machine testssl aborts checks and reports that as findings. True findings appear in both runs.
    console.log('testssl.sh is asked again, because of', complaintsIn(found))
    return scan(sidecar, checks)
  }
  return (await Promise.all(groups.map(scanTwice))).flat()
}

/** Returns unexpected findings of MEDIUM or worse, and failed checks. */
function complaintsIn(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(
    ({ id, severity }) =>
      !/^(OK|INFO|LOW|DEBUG)$/.test(severity) && !NOT_OURS.has(id) && EXPECTED[id] === undefined,
  )
}

describe.skipIf(testssl === undefined)('testssl.sh', { timeout: 300_000 }, () => {
  const folder = makeTempFolder()
  const sidecars: TestSidecar[] = []
  let ofIssued: Promise<readonly Finding[]>
  let ofRsa: Promise<readonly Finding[]>

  // All scans at once, because testssl mostly waits.
  beforeAll(async () => {
    const issued = await startSidecar()
    sidecars.push(issued)
    ofIssued = scanAll(issued, CHECKS)
    const rsa = await startWithRsa(folder)
    sidecars.push(rsa)
    ofRsa = scanAll(rsa, [['-S', '-BB']])
    // The tests await the scans; until then a rejection must not be unhandled.
    ofRsa.catch(() => undefined)
  })
  afterAll(async () => {
    await Promise.all(sidecars.map((sidecar) => sidecar.stop()))
    removeFolder(folder)
  })

  it(`finds nothing with ${CHECKS.flat().join(' ')}`, async () => {
    const findings = await ofIssued
    expect(complaintsIn(findings)).toEqual([])
    // A run that failed or checked nothing must not look like a run without findings.
    const good = findings.filter(({ severity }) => severity === 'OK').map(({ id }) => id)
    expect(good).toEqual(expect.arrayContaining(PASSED))
  })

  it('finds nothing with the operator’s RSA certificate', async () => {
    const findings = await ofRsa
    expect(complaintsIn(findings)).toEqual([])
    const good = findings.filter(({ severity }) => severity === 'OK').map(({ id }) => id)
    expect(good).toEqual(expect.arrayContaining(['cert_chain_of_trust', 'ROBOT']))
  })
})

async function startWithRsa(folder: string): Promise<TestSidecar> {
  const [certFile, keyFile] = [path.join(folder, 'tls.crt'), path.join(folder, 'tls.key')]
  const { certPem, keyPem } = selfSigned('localhost', {
    key: 'rsa:2048',
    extensions: ['extendedKeyUsage=serverAuth'],
    days: 300,
  })
  writeFileSync(certFile, certPem)
  writeFileSync(keyFile, keyPem)
  return startSidecar({
    env: { SIDECAR_TLS_CERT: certFile, SIDECAR_TLS_KEY: keyFile },
    rootPem: certPem,
  })
}
