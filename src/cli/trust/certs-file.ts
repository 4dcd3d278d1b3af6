// One file in a certs.d folder: whose certificates it holds. Looks at it without believing anything about it: the folder
// may hold links to what only root may read, pipes, and what others put there.

import { X509Certificate } from 'node:crypto'
import { lstat, readdir, type FileHandle } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { errorCode } from '../../errors/errors.ts'
import { openToRead } from '../../files/regular-file.ts'
import { certificatesIn } from '../../pki/pem.ts'

// Clients read every *.crt of the folder, so a second file adds to the first one.
export const FILE_NAME = 'ca.crt'
export const FILE_NAME_BESIDE_OTHERS = 'registry-sidecar.crt'

/** Whether `--install` gives a file this name. */
export function isNameOfOurs(path: string): boolean {
  return [FILE_NAME, FILE_NAME_BESIDE_OTHERS].includes(basename(path))
}

export interface CertsFile {
  readonly path: string
  readonly isLink: boolean
  /** Absent for what is no file, or no small one. */
  readonly mode: number | undefined
  /** The certificates in it. */
  readonly certificates: readonly X509Certificate[]
}

// A bundle of every public authority is a quarter of that.
const MAX_BYTES = 1024 * 1024

/** The `*.crt` files of a folder, in order of their names; none if there is no such folder. Rejects with system errors. */
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
    // A link to nowhere, or to a socket.
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

/** The certificates of a text; clients skip what cannot be read, and so does this. */
export function parseCertificates(text: string): readonly X509Certificate[] {
  return certificatesIn(text).flatMap((pem) => {
    try {
      return [new X509Certificate(pem)]
    } catch {
      return []
    }
  })
}

/** Whether it is a root that a registry-sidecar issued: its name says so, and it signs itself. */
export function isSidecarRoot(certificate: X509Certificate): boolean {
  const { subject, issuer } = certificate
  return isSidecarRootName(subject) && subject === issuer
}

/** Whether it leads from one root of a registry-sidecar to a later one, as its name and its issuer's say. */
export function isSidecarCross(certificate: X509Certificate): boolean {
  const { subject, issuer } = certificate
  return isSidecarRootName(subject) && isSidecarRootName(issuer) && subject !== issuer
}

function isSidecarRootName(name: string): boolean {
  return /^CN=registry-sidecar root [0-9a-f]+$/.test(name)
}

/** Whether all of these certificates are in the file. */
export function holdsAll({ certificates }: CertsFile, wanted: readonly X509Certificate[]): boolean {
  const present = new Set(certificates.map(({ fingerprint256 }) => fingerprint256))
  return wanted.length > 0 && wanted.every(({ fingerprint256 }) => present.has(fingerprint256))
}

/** Whether the file is ours to change: no link, and nothing in it but the roots given or those of a registry-sidecar. */
export function isOurs(file: CertsFile, roots: readonly X509Certificate[]): boolean {
  const known = new Set(roots.map(({ fingerprint256 }) => fingerprint256))
  const { isLink, certificates } = file
  return (
    !isLink &&
    certificates.length > 0 &&
    certificates.every((one) => known.has(one.fingerprint256) || isSidecarRoot(one))
  )
}
