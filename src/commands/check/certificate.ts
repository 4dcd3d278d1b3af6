import type { Config } from '../../config.ts'
import { errorMessage } from '../../errors.ts'
import { ownFilesOf, readOwnPair, type OwnFiles } from '../../certificates/own-files.ts'
import { leafDaysLeft } from '../../readiness.ts'
import type { LeafFacts } from '../../tls/certificate.ts'
import { readRoot } from '../../tls/keystore.ts'
import { isCovered } from '../../tls/names.ts'
import { dayOf } from '../day.ts'
import type { Finding } from './finding.ts'

/** The root here, or the certificate that the settings name: whether it can be served, and for which names. */
export async function checkCertificate(config: Config): Promise<readonly Finding[]> {
  const own = ownFilesOf(config)
  try {
    if (own !== undefined) return await checkOwnCertificate(own, config.hosts)
    const { file, fingerprint, notAfter } = await readRoot(config.stateDir)
    return [
      { level: 'ok', part: 'certificate', text: `root ${file}, ${fingerprint}, until ${dayOf(notAfter)}` },
    ]
  } catch (error) {
    return [{ level: 'problem', part: 'certificate', text: errorMessage(error) }]
  }
}

async function checkOwnCertificate(files: OwnFiles, hosts: Config['hosts']): Promise<readonly Finding[]> {
  const part = 'certificate'
  const outcome = await readOwnPair(files, new Date())
  if (outcome.kind === 'mismatch') return [{ level: 'problem', part, text: outcome.error.message }]
  const { leaf } = outcome.certificate.bundle
  const days = leafDaysLeft(leaf)
  const names = leaf.subjectAltNames.map(({ value }) => value).join(', ')
  const text = `${files.certFile}, issued elsewhere, for ${names}; ${days} days left`
  const lacking = namesNotIn(leaf, hosts)
  if (days >= WARNED_DAYS) return [{ level: 'ok', part, text }, ...lacking]
  return [{ level: 'note', part, text, mend: 'have it renewed: that is not done here' }, ...lacking]
}

// What is issued elsewhere does not follow SIDECAR_HOSTS.
function namesNotIn({ subjectAltNames }: LeafFacts, hosts: Config['hosts']): readonly Finding[] {
  const missing = hosts.filter((host) => !isCovered(host, subjectAltNames)).map(({ value }) => value)
  if (missing.length === 0) return []
  const text = `SIDECAR_HOSTS names ${missing.join(', ')}, which it is not for: clients that use that refuse it`
  const mend = 'have it issued with these names, or take them out of SIDECAR_HOSTS'
  return [{ level: 'note', part: 'certificate', text, mend }]
}

const WARNED_DAYS = 30
