// Reads the certificate files of the operator.

import type { Config } from '../settings/config.ts'
import { InvalidFileError } from '../errors/errors.ts'
import { readSettled } from '../files/settled-file.ts'
import { parseOperatorPair, type OperatorPair } from '../pki/operator-bundle.ts'

export interface OperatorFiles {
  readonly certFile: string
  readonly keyFile: string
  readonly keyPasswordFile: string | undefined
}

/** Undefined when the sidecar issues the certificate. */
export function operatorFilesOf({
  tlsCert,
  tlsKey,
  tlsKeyPasswordFile,
}: Pick<Config, 'tlsCert' | 'tlsKey' | 'tlsKeyPasswordFile'>): OperatorFiles | undefined {
  if (tlsCert === undefined || tlsKey === undefined) return undefined
  return { certFile: tlsCert, keyFile: tlsKey, keyPasswordFile: tlsKeyPasswordFile }
}

/** Rejects with `InvalidFileError` when a file cannot be read, or is unusable by itself. */
export async function readOperatorPair(files: OperatorFiles, now: Date): Promise<OperatorPair> {
  // Not in parallel, because the other reads would continue after one read failed.
  const cert = await readNamed(files.certFile, 'SIDECAR_TLS_CERT')
  const key = await readNamed(files.keyFile, 'SIDECAR_TLS_KEY')
  const { keyPasswordFile } = files
  const password =
    keyPasswordFile === undefined
      ? undefined
      : await readNamed(keyPasswordFile, 'SIDECAR_TLS_KEY_PASSWORD_FILE')
  return parseOperatorPair(
    {
      certPem: cert.toString(),
      keyPem: key.toString(),
      keyPassword: password === undefined ? undefined : withoutLineBreak(password),
    },
    { ...files, now },
  )
}

async function readNamed(file: string, setting: string): Promise<Buffer> {
  return readSettled(file).catch((error: unknown) => {
    if (!(error instanceof InvalidFileError)) throw error
    const reason = `${error.reason}: ${setting} must name a file that the user of this process may read`
    throw new InvalidFileError(file, reason, { cause: error })
  })
}

// Editors and `echo` end a file with a line break, and no password ends with one.
function withoutLineBreak(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 0x0a) return bytes
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1)
}
