// Tests that each kind of client accepts the chain after one and two root renewals, with each root that it may trust.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { CertificateBundle } from '../../../src/pki/certificate.ts'
import { issueRoot } from '../../../src/pki/issue.ts'
import { openKeystore, renewRoot } from '../../../src/certificates/state-folder/keystore.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import { findProgram } from '../../fixtures/find-program.ts'
import { isStress } from '../../fixtures/repetitions.ts'
import { makeTempFolder, removeFolder } from '../../fixtures/temp-folder.ts'
import { TLS_CLIENTS, type Target } from '../../fixtures/tls-clients.ts'

const run = promisify(execFile)
const NAMES: readonly SubjectAltName[] = [
  { type: 'dns', value: 'localhost' },
  { type: 'dns', value: '*.lab.example' },
  { type: 'ip', value: '127.0.0.1' },
]

const openssl = findProgram('openssl') ?? ''
// On Debian it uses GnuTLS.
const wget = findProgram('wget') ?? ''

interface Served {
  readonly server: Server
  readonly port: number
  /** The file with the chain. */
  readonly chain: string
}

interface Stage {
  /** Every root so far, newest first. */
  readonly roots: readonly string[]
  readonly served: Served
}

const folder = makeTempFolder()
const stages = new Map<string, Stage>()

beforeAll(async () => {
  for (const kind of ['any name', 'its names alone']) {
    const constrainTo = kind === 'any name' ? undefined : NAMES
    const state = { folder: path.join(folder, kind), names: NAMES, now: new Date(), constrainTo }
    let roots = [(await openKeystore(state)).root.pem]
    for (const renewals of [1, 2]) {
      await renewRoot({ ...state, names: () => NAMES })
      const { root, bundle } = await openKeystore(state)
      roots = [root.pem, ...roots]
      stages.set(`${kind} ${renewals}`, { roots, served: await serve(bundle, `${kind} ${renewals}`) })
    }
  }
})

afterAll(() => {
  for (const { served } of stages.values()) served.server.close()
  removeFolder(folder)
})

interface Trust {
  /** The root certificates that a client trusts, in one file. */
  readonly file: string
  readonly pem: string
}

type Client = (served: Served, trust: Trust) => Promise<unknown>

const CLIENTS: readonly (readonly [string, boolean, Client])[] = [
  ...TLS_CLIENTS.map(
    ({ name, isThere, connect }) =>
      [name, isThere, ({ port }: Served, trust: Trust) => connect(targetOf(port, trust))] as const,
  ),
  ['openssl verify, in strict mode', openssl !== '', verifyWithOpenssl],
  ['wget', wget !== '', fetchWithWget],
]

type TrustedRoots = readonly [string, number, (roots: readonly string[]) => readonly (string | undefined)[]]

// GnuTLS (3.7) looks for any root at the end of the sent chain. In the middle it finds a root only if the chain
// contains the same bytes.
const BEYOND_GNUTLS: TrustedRoots = ['the newest root alone', 2, (roots) => [roots[0]]]

const FIRST_ALONE: TrustedRoots = ['the first one alone', 2, (roots) => [roots[2]]]

const TRUSTS: readonly TrustedRoots[] = [
  ['the new root alone', 1, (roots) => [roots[0]]],
  ['the previous root alone', 1, (roots) => [roots[1]]],
  ['both, the new one first', 1, (roots) => roots],
  ['both, the new one last', 1, (roots) => roots.toReversed()],
  BEYOND_GNUTLS,
  ['the previous root alone', 2, (roots) => [roots[1]]],
  FIRST_ALONE,
  ['the newest and the previous one', 2, (roots) => [roots[0], roots[1]]],
  ['the first one and the newest', 2, (roots) => [roots[2], roots[0]]],
  ['all three', 2, (roots) => roots],
]

/** Go programs take most of the time, and they verify with the same libraries. Usually a few rows are enough for them. */
function trustsOf(program: string, kind: string): readonly TrustedRoots[] {
  if (program === 'wget') return TRUSTS.filter((trust) => trust !== BEYOND_GNUTLS)
  const isWhole = isStress || (program === 'skopeo' ? kind === 'its names alone' : program !== 'podman')
  return isWhole ? TRUSTS : [FIRST_ALONE]
}

describe.each(CLIENTS)('%s', (name, isThere, client) => {
  describe.each(['any name', 'its names alone'])('with roots that permit %s', (kind) => {
    it.skipIf(!isThere).each(trustsOf(name, kind))(
      'accepts the chain when it trusts %s, after %i renewals',
      async (_, renewals, choose) => {
        const { served, roots } = stageOf(kind, renewals)
        await client(served, trustIn(choose(roots).join('')))
      },
    )
  })

  it.skipIf(!isThere)('refuses the chain when it trusts another root', async () => {
    const { served } = stageOf('any name', 2)
    await expect(client(served, trustIn(issueRoot({ now: new Date() }).certPem))).rejects.toThrow()
  })
})

function stageOf(kind: string, renewals: number): Stage {
  const stage = stages.get(`${kind} ${renewals}`)
  if (stage === undefined) throw new Error('There is no such stage.')
  return stage
}

function targetOf(port: number, { file, pem }: Trust): Target {
  // Clients use no proxy for a loopback address.
  const where = { name: '127.0.0.1', host: '127.0.0.1', port, proxy: '' }
  return { ...where, rootFile: file, rootPem: pem, folder: path.dirname(file) }
}

let trusts = 0

// Alone in its folder, because skopeo and podman read the whole folder.
function trustIn(pem: string): Trust {
  const own = path.join(folder, `trust-${trusts++}`)
  mkdirSync(own)
  const file = path.join(own, 'ca.crt')
  writeFileSync(file, pem)
  return { file, pem }
}

async function serve({ certPem, keyPem }: CertificateBundle, name: string): Promise<Served> {
  const chain = path.join(folder, `${name}.crt`)
  writeFileSync(chain, certPem)
  const server = createServer({ cert: certPem, key: keyPem }, (_, response) => response.end('hello'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server does not listen.')
  return { server, port: address.port, chain }
}

async function verifyWithOpenssl({ chain }: Served, { file }: Trust): Promise<void> {
  const names = ['-verify_hostname', 'any.lab.example']
  const args = [
    'verify',
    '-x509_strict',
    '-purpose',
    'sslserver',
    ...names,
    '-CAfile',
    file,
    '-untrusted',
    chain,
  ]
  expect((await run(openssl, [...args, chain])).stdout).toContain(': OK')
}

async function fetchWithWget({ port }: Served, { file }: Trust): Promise<void> {
  const args = [
    '--quiet',
    '--no-proxy',
    '--tries=1',
    '--timeout=30',
    '--output-document=-',
    `--ca-certificate=${file}`,
  ]
  expect((await run(wget, [...args, `https://localhost:${port}/`])).stdout).toBe('hello')
}
