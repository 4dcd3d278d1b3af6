// Collects the facts that the pages show: names, root, status.

import { hostname } from 'node:os'
import type { Config } from '../settings/config.ts'
import type { StatusFigures } from '../http/pages/admin-page.ts'
import type { PageFacts } from '../http/pages/routes.ts'
import { leafDaysLeft, type Parts } from './readiness.ts'
import type { CertificateInForce } from '../certificates/certificate-in-force.ts'
import { isCovered, parseHostName } from '../pki/names.ts'

export function pageFactsOf(
  { hosts }: Pick<Config, 'hosts'>,
  certificate: Pick<CertificateInForce, 'current' | 'root'>,
): PageFacts {
  return {
    isCovered: (text) => {
      const parsed = parseHostName(text)
      return parsed.ok && isCovered(parsed.name, certificate.current.leaf.subjectAltNames)
    },
    fallback: hosts.find(({ value }) => !value.startsWith('*.'))?.value ?? hostname(),
    root: () => certificate.root,
  }
}

/** Threat: anyone who reaches the admin address sees these figures without a login. */
export function statusFiguresOf({
  users,
  certificate,
  gate,
}: Pick<Parts, 'users' | 'certificate' | 'gate'>): StatusFigures {
  return {
    users: users.table.entries.size,
    inFlight: gate.inFlight,
    certificateDaysLeft: leafDaysLeft(certificate.current.leaf),
  }
}
