// Collects the facts that the trust page shows: names and root.

import { hostname } from 'node:os'
import type { Config } from '../settings/config.ts'
import type { PageFacts } from '../http/pages/routes.ts'
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
