// Checks the client CA file that the settings name.

import type { Config } from '../../settings/config.ts'
import { errorMessage } from '../../errors/errors.ts'
import { readRegular } from '../../files/regular-file.ts'
import { parseClientCa } from '../../pki/client-ca-set.ts'
import { dayOf } from '../calendar-day.ts'
import type { Finding } from './finding.ts'

export async function checkClientCa({ tlsClientCa: file }: Config): Promise<readonly Finding[]> {
  if (file === undefined) return []
  const part = 'client CA'
  try {
    const text = (await readRegular(file)).toString()
    const { fingerprints, notAfter, leftOut } = parseClientCa(text, { file, now: new Date() })
    const notes = leftOut.map(({ number, reason, hint }): Finding => {
      return {
        level: 'note',
        part,
        text: `certificate number ${number} in ${file} is left out: it ${reason}`,
        hint,
      }
    })
    return [
      { level: 'ok', part, text: `${fingerprints.length} in ${file}, valid until ${dayOf(notAfter)}` },
      ...notes,
    ]
  } catch (error) {
    const hint = 'put the certificates of the CAs that issue your client certificates into this file, as PEM'
    return [{ level: 'problem', part, text: errorMessage(error), hint }]
  }
}
