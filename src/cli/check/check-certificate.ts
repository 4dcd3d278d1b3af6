// Checks the certificate that the settings select.

import type { Config } from '../../settings/config.ts'
import { errorMessage } from '../../errors/errors.ts'
import { operatorFilesOf, readOperatorPair, type OperatorFiles } from '../../certificates/operator-files.ts'
import { daysLeft } from '../../app/readiness.ts'
import type { LeafFacts } from '../../pki/certificate.ts'
import { readRoot } from '../../certificates/state-folder/stored-state.ts'
import { statePlaceOf } from '../../certificates/state-place.ts'
import { isCovered } from '../../pki/names.ts'
import { dayOf } from '../calendar-day.ts'
import type { Finding } from './finding.ts'

const EXPIRY_NOTE_DAYS = 30

export async function checkCertificate(config: Config): Promise<readonly Finding[]> {
  const files = operatorFilesOf(config)
  try {
    if (files !== undefined) return await checkOperatorCertificate(files, config.hosts)
    const { file, fingerprint, notAfter } = await readRoot(statePlaceOf(config))
    return [
      {
        level: 'ok',
        part: 'certificate',
        text: `root ${file}, ${fingerprint}, valid until ${dayOf(notAfter)}`,
      },
    ]
  } catch (error) {
    return [{ level: 'problem', part: 'certificate', text: errorMessage(error) }]
  }
}

async function checkOperatorCertificate(
  files: OperatorFiles,
  hosts: Config['hosts'],
): Promise<readonly Finding[]> {
  const part = 'certificate'
  const outcome = await readOperatorPair(files, new Date())
  if (outcome.kind === 'mismatch') return [{ level: 'problem', part, text: outcome.error.message }]
  const { leaf } = outcome.certificate.bundle
  const days = daysLeft(leaf)
  const names = leaf.subjectAltNames.map(({ value }) => value).join(', ')
  const text = `${files.certFile}, provided by the operator, for ${names}; ${days} days left`
  const uncovered = noteUncoveredHosts(leaf, hosts)
  if (days >= EXPIRY_NOTE_DAYS) return [{ level: 'ok', part, text }, ...uncovered]
  const hint = 'ask its issuer to renew it; the sidecar cannot renew it'
  return [{ level: 'note', part, text, hint }, ...uncovered]
}

// SIDECAR_HOSTS adds names only to a leaf that the sidecar issues.
function noteUncoveredHosts({ subjectAltNames }: LeafFacts, hosts: Config['hosts']): readonly Finding[] {
  const uncovered = hosts.filter((host) => !isCovered(host, subjectAltNames)).map(({ value }) => value)
  if (uncovered.length === 0) return []
  const text = `SIDECAR_HOSTS names ${uncovered.join(', ')}, which the certificate does not cover; clients that use these names reject it`
  const hint = 'ask its issuer for a certificate with these names, or remove them from SIDECAR_HOSTS'
  return [{ level: 'note', part: 'certificate', text, hint }]
}
