// Defines which client certificates are accepted.

import type { ClientCaInForce } from '../certificates/client-ca-in-force.ts'
import type { CertificateDemand } from '../http/connections/certificate-verdict.ts'
import { isAcceptedClient } from '../pki/client-ca-set.ts'
import { clientNameOf } from '../pki/client-name.ts'
import type { Config } from '../settings/config.ts'
import type { Users } from '../users/users.ts'

/** Reads the CAs and users at each request, because both can change. */
export function certificateDemandOf(
  { tlsClientAuth, tlsClientName }: Pick<Config, 'tlsClientAuth' | 'tlsClientName'>,
  users: Pick<Users, 'table'>,
  clientCa: Pick<ClientCaInForce, 'current'> | undefined,
): CertificateDemand | undefined {
  if (clientCa === undefined) return undefined
  return {
    mode: tlsClientAuth,
    nameOf: ({ raw }) => clientNameOf(raw, tlsClientName),
    isAccepted: (certificate) => isAcceptedClient(certificate, clientCa.current),
    isUser: (name) => users.table.entries.has(name),
  }
}
