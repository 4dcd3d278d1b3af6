// The roots that this machine knows: the one in force here, those of the system, and those in the certs.d folders of one
// registry key.

import { X509Certificate } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import type { Config } from '../../config.ts'
import { errorCode, InvalidFileError } from '../../errors.ts'
import { readRegular } from '../../regular-file.ts'
import { readTrusted } from '../trust/trusted.ts'
import { parseCertificates, readCertsFolder } from '../trust/certs-file.ts'
import { foldersThatClientsRead, type Whose } from '../trust/certs-folders.ts'

export interface RootSet {
  /** A file or a folder, for a person. */
  readonly origin: string
  readonly certificates: readonly X509Certificate[]
}

export interface KnownRoots {
  /** What the sidecar on this machine would tell clients to trust. */
  readonly ours: RootSet | { readonly missing: string }
  readonly system: RootSet
  /** The certs.d folders of this key with something in them; clients add it to the system's. */
  readonly folders: readonly RootSet[]
  /** Folders that this user may not look into. */
  readonly unreadable: readonly string[]
}

export interface WhoseRoots extends Whose {
  readonly config: Config
  readonly key: string
}

/** Reads all of them; what cannot be read is told as missing. */
export async function readKnownRoots({ config, key, machine, env }: WhoseRoots): Promise<KnownRoots> {
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
  return { ours: await readOurs(config), system, folders, unreadable }
}

async function readOurs(config: Config): Promise<KnownRoots['ours']> {
  // On the machine of a client there is no such folder, and nothing to mend about that.
  const isIssuedHere = config.tlsCert === undefined
  if (isIssuedHere && !(await isThere(config.stateDir))) return { missing: `no folder ${config.stateDir}` }
  try {
    const trusted = await readTrusted(config)
    if (trusted.kind === 'elsewhere') return { missing: `${trusted.path} does not end in a root` }
    return { origin: trusted.root.file, certificates: parseCertificates(trusted.root.pem) }
  } catch (error) {
    if (error instanceof InvalidFileError) return { missing: error.message }
    throw error
  }
}

function isThere(folder: string): Promise<boolean> {
  return stat(folder).then(
    () => true,
    (error: unknown) => errorCode(error) !== 'ENOENT',
  )
}

// Where Go looks on Linux, in its order; the first that is there counts (crypto/x509, root_linux.go).
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
  return { origin: 'the public authorities that Node knows', certificates }
}
