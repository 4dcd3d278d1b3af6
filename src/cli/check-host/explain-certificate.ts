// Explains the names and dates of a server's certificate.

import type { X509Certificate } from 'node:crypto'
import { leafFacts } from '../../pki/certificate.ts'
import { isCovered } from '../../pki/names.ts'
import { dayOf } from '../calendar-day.ts'
import type { RegistryAddress } from '../trust/registry-key.ts'
import { printable, type Finding } from '../check/finding.ts'

export interface PresentedCertificate {
  readonly target: RegistryAddress
  /** As the server sent it, leaf first. */
  readonly chain: readonly [X509Certificate, ...X509Certificate[]]
  /** Whether the root of the sidecar on this machine issued the leaf, so the operator can fix it here. */
  readonly isUnderLocalRoot: boolean
  readonly now: Date
}

export function explainCertificate(presented: PresentedCertificate): readonly Finding[] {
  const problems = [...findNameProblems(presented), ...findDateProblems(presented)]
  if (problems.length > 0) return problems
  const { target, chain } = presented
  const [{ validTo, fingerprint256 }] = chain
  const text = `for ${target.name.value}, until ${dayOf(new Date(validTo))}, SHA-256 ${fingerprint256}`
  return [{ level: 'ok', part: 'certificate', text }]
}

function findNameProblems({
  target: { name },
  chain: [leaf],
  isUnderLocalRoot,
}: PresentedCertificate): readonly Finding[] {
  const { subjectAltNames } = leafFacts(leaf)
  if (isCovered(name, subjectAltNames)) return []
  const wanted = name.value
  const hint = isUnderLocalRoot
    ? `add ${wanted} to SIDECAR_HOSTS and restart the sidecar, or use one of these names`
    : `request a certificate that has ${wanted} in its subject alternative names`
  if (subjectAltNames.length === 0) {
    const text = 'the certificate has no subject alternative names, and clients ignore its common name'
    return [{ level: 'problem', part: 'certificate', text, hint }]
  }
  const names = printable(subjectAltNames.map(({ value }) => value).join(', '))
  const text = `the certificate is for ${names}, not for ${wanted}`
  return [{ level: 'problem', part: 'certificate', text, hint }]
}

function findDateProblems({ chain, isUnderLocalRoot, now }: PresentedCertificate): readonly Finding[] {
  const clock = `the clock of this machine says ${now.toISOString()}: correct it if it is wrong`
  return chain.flatMap((certificate, index): Finding[] => {
    const subject = index === 0 ? 'the certificate' : `${subjectOf(certificate)} in its chain`
    if (new Date(certificate.validTo) <= now) {
      const renew =
        isUnderLocalRoot && index === 0
          ? 'see the errors of the renewal in the log of the sidecar, or run `registry-sidecar cert renew`'
          : 'renew it'
      const text = `${subject} expired on ${dayOf(new Date(certificate.validTo))}`
      return [{ level: 'problem', part: 'certificate', text, hint: `${renew}; ${clock}` }]
    }
    if (new Date(certificate.validFrom) <= now) return []
    const text = `${subject} is not valid before ${new Date(certificate.validFrom).toISOString()}`
    return [{ level: 'problem', part: 'certificate', text, hint: `wait until then; ${clock}` }]
  })
}

export function subjectOf({ subject }: X509Certificate): string {
  return printable(subject.replaceAll('\n', ', '))
}
