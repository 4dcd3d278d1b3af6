// Finds the root that clients must trust.

import { dirname } from 'node:path'
import type { Config } from '../../settings/config.ts'
import { CommandError, errorMessage, InvalidFileError } from '../../errors/errors.ts'
import { readRegular } from '../../files/regular-file.ts'
import type { Root } from '../../pki/certificate.ts'
import { readRoot } from '../../certificates/state-folder/stored-state.ts'
import { statePlaceOf } from '../../certificates/state-place.ts'
import { parseChain } from '../../pki/operator-bundle.ts'
import { isPublished, publicRootFile } from '../../certificates/state-folder/public-root.ts'
import { FETCHED_FILE } from '../../client-setup/shell-commands.ts'
import { dayOf } from '../calendar-day.ts'

export interface TrustedRoot {
  readonly kind: 'root'
  readonly root: Root
  /** A file that holds only the root. The operator may have to create it first. */
  readonly file: string
  /** A folder that holds only the root, if there is one. */
  readonly certDir?: string
  readonly preparation: readonly string[]
}

/** An operator's certificate without its root. */
export interface IssuedElsewhere {
  readonly kind: 'elsewhere'
  readonly path: string
  readonly issuer: string
  readonly fingerprint: string
  readonly notAfter: Date
}

/** Never reads a key, so users without access to keys can run the command. Rejects with InvalidFileError. */
export async function readTrusted(config: Config): Promise<TrustedRoot | IssuedElsewhere> {
  const { tlsCert, stateDir } = config
  if (tlsCert === undefined) {
    const root = await readRoot(statePlaceOf(config))
    const certDir = dirname(publicRootFile(stateDir))
    const known = (await isPublished(stateDir, root.pem)) ? { certDir } : {}
    return { kind: 'root', root, file: root.file, ...known, preparation: [] }
  }
  const bytes = await readRegular(tlsCert).catch((cause: unknown) => {
    if (cause instanceof InvalidFileError) throw cause
    throw new InvalidFileError(tlsCert, `cannot be read: ${errorMessage(cause)}`, { cause })
  })
  const { certificates, anchor } = parseChain(bytes.toString(), tlsCert)
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
    'This certificate is self-signed, so it is its own root. After you replace it, clients must trust the new one.',
    '',
  ]
  return { kind: 'root', root, file: root.file, preparation }
}

// The certificate stores of macOS and Windows read only the first certificate of a file, here the leaf.
function endOfChain(root: Root): TrustedRoot {
  const preparation = [
    `The root is the last certificate in ${root.file}. Write it to a separate file, with the same settings:`,
    `  registry-sidecar trust --pem > ${FETCHED_FILE}`,
    '',
  ]
  return { kind: 'root', root, file: FETCHED_FILE, preparation }
}

export interface OutputForm {
  readonly pem: boolean
  readonly install: boolean
  readonly json: boolean
}

/** Throws a CommandError if the request needs the root itself. */
export function formatIssuer(certificate: IssuedElsewhere, { pem, install, json }: OutputForm): string {
  const { path, issuer, fingerprint, notAfter } = certificate
  if (pem || install) {
    throw new CommandError(
      `${path} was issued by ${issuer} and does not end in a root: get the root from its issuer, or append it to the file`,
    )
  }
  if (json) return `${JSON.stringify({ path, fingerprint, notAfter, issuer, clients: [] })}\n`
  const lines = [
    `certificate  ${path}`,
    `SHA-256      ${fingerprint}`,
    `valid until  ${dayOf(notAfter)}`,
    `issued by    ${issuer}`,
    '',
    'The sidecar did not issue this certificate and does not have its root. Clients that trust its issuer, for example a',
    'public CA, need nothing. For other clients get the root certificate from the issuer and append it to the file: then',
    'this command shows how to make each client trust it.',
  ]
  return lines.map((line) => `${line}\n`).join('')
}
