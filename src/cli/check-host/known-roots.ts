// Reads the roots that this machine trusts for one registry.

import { X509Certificate } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import type { Config } from '../../settings/config.ts'
import { errorCode, InvalidFileError } from '../../errors/errors.ts'
import { readRegular } from '../../files/regular-file.ts'
import type { Machine } from '../this-machine.ts'
import { parseCertificates, readCertsFolder } from '../trust/certs-file.ts'
import { foldersThatClientsRead } from '../trust/certs-folders.ts'
import { readTrusted } from '../trust/trusted-root.ts'
import type { World } from '../../app/world.ts'

export interface RootSet {
  /** The file or folder that holds the roots, as shown to people. */
  readonly origin: string
  readonly certificates: readonly X509Certificate[]
}

export interface KnownRoots {
  readonly localRoot: RootSet | { readonly missing: string }
  readonly system: RootSet
  /** The certs.d folders of this registry; clients add them to the system roots. */
  readonly folders: readonly RootSet[]
  readonly unreadable: readonly string[]
}

export interface KnownRootsOptions {
  readonly config: Config
  readonly key: string
  readonly machine: Machine
  readonly env: World['env']
}

/** Reports an unreadable folder instead of failing. */
export async function readKnownRoots({ config, key, machine, env }: KnownRootsOptions): Promise<KnownRoots> {
  const folders: RootSet[] = []
  const unreadable: string[] = []
  for (const origin of foldersThatClientsRead({ machine, env }).map((folder) => join(folder, key))) {
    try {
      const certificates = (await readCertsFolder(origin)).flatMap((file) => file.certificates)
      if (certificates.length > 0) folders.push({ origin, certificates })
    } catch (error) {
      if (errorCode(error) !== 'ENOTDIR') unreadable.push(origin)
    }
  }
  const system = await readSystemRoots(machine.etc, env['SSL_CERT_FILE'])
  return { localRoot: await readLocalRoot(config), system, folders, unreadable }
}

async function readLocalRoot(config: Config): Promise<KnownRoots['localRoot']> {
  // A machine that has only clients has no state folder.
  const needsRoot = config.tlsCert === undefined
  const folder = config.rootDir ?? config.stateDir
  if (needsRoot && !(await exists(folder))) return { missing: `no folder ${folder}` }
  try {
    const trusted = await readTrusted(config)
    if (trusted.kind === 'elsewhere') return { missing: `${trusted.path} does not end in a root` }
    return { origin: trusted.root.file, certificates: parseCertificates(trusted.root.pem) }
  } catch (error) {
    if (error instanceof InvalidFileError) return { missing: error.message }
    throw error
  }
}

function exists(folder: string): Promise<boolean> {
  return stat(folder).then(
    () => true,
    (error: unknown) => errorCode(error) !== 'ENOENT',
  )
}

// Go on Linux takes the first of these that exists (crypto/x509, root_linux.go).
const BUNDLES = [
  'ssl/certs/ca-certificates.crt',
  'pki/tls/certs/ca-bundle.crt',
  'ssl/ca-bundle.pem',
  'pki/tls/cacert.pem',
  'pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  'ssl/cert.pem',
]

async function readSystemRoots(etc: string, override: string | undefined): Promise<RootSet> {
  const files =
    override === undefined || override === '' ? BUNDLES.map((file) => join(etc, file)) : [override]
  for (const origin of files) {
    const bytes = await readRegular(origin).catch(() => undefined)
    if (bytes !== undefined) return { origin, certificates: parseCertificates(bytes.toString()) }
  }
  const certificates = rootCertificates.map((pem) => new X509Certificate(pem))
  return { origin: "Node's list of public CAs", certificates }
}
