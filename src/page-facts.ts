// What the pages for a person may say: the names and the root of the registry, and how it fares.

import { hostname } from 'node:os'
import type { Config } from './config.ts'
import type { StatusFigures } from './http/pages/status-page.ts'
import type { PageFacts } from './http/pages/routes.ts'
import { leafDaysLeft, type Parts } from './readiness.ts'
import type { CertificateInForce } from './certificates/served-certificate.ts'
import { isCovered, parseHostName } from './tls/names.ts'

/** Asked at each request, since names and root change while the process runs. */
export function pageFactsOf(
  { hosts }: Pick<Config, 'hosts'>,
  certificate: Pick<CertificateInForce, 'current' | 'root'>,
): PageFacts {
  return {
    isOurs: (text) => {
      const parsed = parseHostName(text)
      return parsed.ok && isCovered(parsed.name, certificate.current.leaf.subjectAltNames)
    },
    fallback: hosts.find(({ value }) => !value.startsWith('*.'))?.value ?? hostname(),
    root: () => certificate.root,
  }
}

/** For the status page, which anybody who reaches the admin address may see. */
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
