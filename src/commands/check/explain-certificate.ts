// What a certificate says of itself: for which names it is, and for how long.

import type { X509Certificate } from 'node:crypto'
import { leafFacts } from '../../tls/certificate.ts'
import { isCovered } from '../../tls/names.ts'
import { dayOf } from '../day.ts'
import type { RegistryAddress } from '../trust/registry-key.ts'
import { printable, type Finding } from './finding.ts'

export interface Shown {
  readonly target: RegistryAddress
  /** As the server sent it, leaf first. */
  readonly chain: readonly [X509Certificate, ...X509Certificate[]]
  /** Whether the root in force here issued it, so that the mend is ours. */
  readonly isOurs: boolean
  readonly now: Date
}

/** Whether the name is right, and the time. */
export function explainCertificate(shown: Shown): readonly Finding[] {
  const problems = [...nameProblems(shown), ...dateProblems(shown)]
  if (problems.length > 0) return problems
  const [{ validTo, fingerprint256 }] = shown.chain
  const text = `for ${shown.target.name.value}, until ${dayOf(new Date(validTo))}, SHA-256 ${fingerprint256}`
  return [{ level: 'ok', part: 'certificate', text }]
}

function nameProblems({ target: { name }, chain: [leaf], isOurs }: Shown): readonly Finding[] {
  const { subjectAltNames } = leafFacts(leaf)
  if (isCovered(name, subjectAltNames)) return []
  const wanted = name.value
  const mend = isOurs
    ? `add ${wanted} to SIDECAR_HOSTS and start the sidecar again, or call it by one of these names`
    : `have it issued with ${wanted} among its subject alternative names`
  if (subjectAltNames.length === 0) {
    const text = 'it carries no subject alternative names, and clients look nowhere else'
    return [{ level: 'problem', part: 'certificate', text, mend }]
  }
  const names = subjectAltNames.map(({ value }) => value).join(', ')
  return [
    { level: 'problem', part: 'certificate', text: `it is for ${printable(names)}, not for ${wanted}`, mend },
  ]
}

function dateProblems({ chain, isOurs, now }: Shown): readonly Finding[] {
  const clock = `unless the clock of this machine is wrong: it says ${now.toISOString()}`
  return chain.flatMap((certificate, index): Finding[] => {
    const what = index === 0 ? 'it' : `${subjectOf(certificate)} in its chain`
    if (new Date(certificate.validTo) <= now) {
      const renew =
        isOurs && index === 0
          ? 'the sidecar renews it while it runs: see the errors in its log, or run `registry-sidecar cert renew`'
          : 'have it renewed'
      const text = `${what} expired on ${dayOf(new Date(certificate.validTo))}`
      return [{ level: 'problem', part: 'certificate', text, mend: `${renew}; ${clock}` }]
    }
    if (new Date(certificate.validFrom) <= now) return []
    const text = `${what} is not valid before ${new Date(certificate.validFrom).toISOString()}`
    return [{ level: 'problem', part: 'certificate', text, mend: `wait till then; ${clock}` }]
  })
}

/** The subject of a certificate on one line. */
export function subjectOf({ subject }: X509Certificate): string {
  return printable(subject.replaceAll('\n', ', '))
}
