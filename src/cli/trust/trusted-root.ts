// What clients are to trust: the root that we issued, or what a certificate that was issued elsewhere ends in.

import { dirname } from 'node:path'
import type { Config } from '../../settings/config.ts'
import { CommandError, errorMessage, InvalidFileError } from '../../errors/errors.ts'
import { readRegular } from '../../files/regular-file.ts'
import type { Root } from '../../pki/certificate.ts'
import { readRoot } from '../../certificates/state-folder/keystore.ts'
import { parseOwnChain } from '../../pki/own-bundle.ts'
import { isPublished, publicRootFile } from '../../certificates/state-folder/public-root.ts'
import { FETCHED_FILE } from '../../client-setup/shell-commands.ts'
import { dayOf } from '../calendar-day.ts'

export interface TrustedRoot {
  readonly kind: 'root'
  readonly root: Root
  /** A file that holds the root and nothing else; it may have to be made first. */
  readonly file: string
  /** A folder that holds the root and nothing else, if there is one. */
  readonly certDir?: string
  /** Lines about that, for a person. */
  readonly preparation: readonly string[]
}

/** A certificate whose root we do not have. */
export interface IssuedElsewhere {
  readonly kind: 'elsewhere'
  readonly path: string
  readonly issuer: string
  readonly fingerprint: string
  readonly notAfter: Date
}

/** Reads no key: whoever asks what to trust need not be allowed to. Rejects with InvalidFileError. */
export async function readTrusted({ tlsCert, stateDir }: Config): Promise<TrustedRoot | IssuedElsewhere> {
  if (tlsCert === undefined) {
    const root = await readRoot(stateDir)
    const certDir = dirname(publicRootFile(stateDir))
    const known = (await isPublished(stateDir, root.pem)) ? { certDir } : {}
    return { kind: 'root', root, file: root.file, ...known, preparation: [] }
  }
  const bytes = await readRegular(tlsCert).catch((cause: unknown) => {
    if (cause instanceof InvalidFileError) throw cause
    throw new InvalidFileError(tlsCert, `cannot be read: ${errorMessage(cause)}`, { cause })
  })
  const { certificates, anchor } = parseOwnChain(bytes.toString(), tlsCert)
  const [leaf] = certificates
  if (anchor !== undefined) return certificates.length === 1 ? selfSigned(anchor) : endOfChain(anchor)
  return {
    kind: 'elsewhere',
    path: tlsCert,
    issuer: leaf.issuer.replaceAll('\n', ', '),
    fingerprint: leaf.fingerprint256,
    notAfter: new Date(leaf.validTo),
  }
}

/** The root if there is one to be read, for those who can do without. */
export async function rootIfKnown(config: Config): Promise<Root | undefined> {
  try {
    const trusted = await readTrusted(config)
    return trusted.kind === 'root' ? trusted.root : undefined
  } catch (error) {
    if (error instanceof InvalidFileError) return undefined
    throw error
  }
}

function selfSigned(root: Root): TrustedRoot {
  const preparation = [
    'This certificate signs itself, so it is its own root: when another takes its place, clients have to trust that one.',
    '',
  ]
  return { kind: 'root', root, file: root.file, preparation }
}

// Most clients would take the whole chain, but the keychains of macOS and Windows take its first certificate: the leaf.
function endOfChain(root: Root): TrustedRoot {
  const preparation = [
    `The root is the last certificate in ${root.file}. Put it into a file of its own, with the same settings:`,
    `  registry-sidecar trust --pem > ${FETCHED_FILE}`,
    '',
  ]
  return { kind: 'root', root, file: FETCHED_FILE, preparation }
}

export interface Wish {
  readonly pem: boolean
  readonly install: boolean
  readonly json: boolean
}

/** What there is to say of a root that we do not have. Throws a CommandError when it is asked for itself. */
export function describeIssuer(certificate: IssuedElsewhere, { pem, install, json }: Wish): string {
  const { path, issuer, fingerprint, notAfter } = certificate
  if (pem || install) {
    throw new CommandError(
      `${path} was issued by ${issuer} and does not end in a root: get that from its issuer, or append it to the file`,
    )
  }
  if (json) return `${JSON.stringify({ path, fingerprint, notAfter, issuer, clients: [] })}\n`
  const lines = [
    `certificate  ${path}`,
    `SHA-256      ${fingerprint}`,
    `valid until  ${dayOf(notAfter)}`,
    `issued by    ${issuer}`,
    '',
    'It was not issued here, so there is no root of ours to trust. Clients that trust its issuer, as all do with a public',
    'authority, need nothing. For others get the root certificate from the issuer, and append it to the end of the file:',
    'then this command tells how each client comes to trust it.',
  ]
  return lines.map((line) => `${line}\n`).join('')
}
