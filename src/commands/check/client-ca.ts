// Whether the client CAs that the settings name can be used.

import { readFile } from 'node:fs/promises'
import type { Config } from '../../config.ts'
import { errorMessage } from '../../errors.ts'
import { parseClientCa } from '../../tls/client-ca.ts'
import type { Finding } from './finding.ts'

/** Nothing when none are named. */
export async function checkClientCa({ tlsClientCa: file }: Config): Promise<readonly Finding[]> {
  if (file === undefined) return []
  const part = 'client CA'
  try {
    const { fingerprints, notAfter } = parseClientCa(await readFile(file, 'utf8'), { file, now: new Date() })
    const until = notAfter.toISOString().slice(0, 10)
    return [{ level: 'ok', part, text: `${fingerprints.length} in ${file}, until ${until}` }]
  } catch (error) {
    const mend = 'put the certificates of the CAs there that sign those of your clients, in PEM'
    return [{ level: 'problem', part, text: errorMessage(error), mend }]
  }
}
