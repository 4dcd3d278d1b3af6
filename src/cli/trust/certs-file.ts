// Reads the certificate files of a certs.d folder.
//
// Threat: another user puts links, pipes or large files into the folder. So this file checks each file before it reads.

import { X509Certificate } from 'node:crypto'
import { lstat, readdir, type FileHandle } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { errorCode } from '../../errors/errors.ts'
import { openToRead } from '../../files/regular-file.ts'
import { certificatesIn } from '../../pki/pem.ts'

// Clients read every *.crt of the folder, so the second file adds to the first.
export const FILE_NAME = 'ca.crt'
export const FILE_NAME_BESIDE_OTHERS = 'registry-sidecar.crt'

export function hasInstallName(path: string): boolean {
  return [FILE_NAME, FILE_NAME_BESIDE_OTHERS].includes(basename(path))
}

export interface CertsFile {
  readonly path: string
  readonly isLink: boolean
  /** Undefined if it is not a regular file, or too large. */
  readonly mode: number | undefined
  readonly certificates: readonly X509Certificate[]
}

// A bundle of all public CAs takes about a quarter of this size.
const MAX_BYTES = 1024 * 1024

/** Resolves to no files if the folder is missing. Rejects with other system errors. */
export async function readCertsFolder(folder: string): Promise<readonly CertsFile[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  })
  const files: CertsFile[] = []
  for (const name of names.filter((one) => one.endsWith('.crt')).sort()) {
    files.push(await readCertsFile(join(folder, name)))
  }
  return files
}

async function readCertsFile(path: string): Promise<CertsFile> {
  const isLink = (await lstat(path)).isSymbolicLink()
  const handle = await openToRead(path).catch((error: unknown) => {
    // A broken link, or a link to a socket.
    if (isLink && ['ENOENT', 'ELOOP', 'ENXIO'].includes(errorCode(error) ?? '')) return undefined
    throw error
  })
  const nothing = { path, isLink, mode: undefined, certificates: [] }
  if (handle === undefined) return nothing
  try {
    const stats = await handle.stat()
    if (!stats.isFile() || stats.size > MAX_BYTES) return nothing
    return { path, isLink, mode: stats.mode & 0o777, certificates: await certificatesOf(handle) }
  } finally {
    await handle.close()
  }
}

async function certificatesOf(handle: FileHandle): Promise<readonly X509Certificate[]> {
  return parseCertificates(await handle.readFile('utf8'))
}

/** Skips unreadable certificates, as clients do. */
export function parseCertificates(text: string): readonly X509Certificate[] {
  return certificatesIn(text).flatMap((pem) => {
    try {
      return [new X509Certificate(pem)]
    } catch {
      return []
    }
  })
}

export function isSidecarRoot(certificate: X509Certificate): boolean {
  const { subject, issuer } = certificate
  return isSidecarRootName(subject) && subject === issuer
}

/** Whether its names say that one registry-sidecar root signed another. */
export function isSidecarCross(certificate: X509Certificate): boolean {
  const { subject, issuer } = certificate
  return isSidecarRootName(subject) && isSidecarRootName(issuer) && subject !== issuer
}

function isSidecarRootName(name: string): boolean {
  return /^CN=registry-sidecar root [0-9a-f]+$/.test(name)
}

export function holdsAll({ certificates }: CertsFile, wanted: readonly X509Certificate[]): boolean {
  const present = new Set(certificates.map(({ fingerprint256 }) => fingerprint256))
  return wanted.length > 0 && wanted.every(({ fingerprint256 }) => present.has(fingerprint256))
}

/** `--install` and `--uninstall` change only files for which this is true. */
export function holdsOnlySidecarRoots(file: CertsFile, roots: readonly X509Certificate[]): boolean {
  const known = new Set(roots.map(({ fingerprint256 }) => fingerprint256))
  const { isLink, certificates } = file
  return (
    !isLink &&
    certificates.length > 0 &&
    certificates.every((one) => known.has(one.fingerprint256) || isSidecarRoot(one))
  )
}
