// Decides which challenge a 401 carries.
//
// One answer never has both challenges: dockerd would run both and overwrite its token, and others take the first. A
// Bearer challenge for everything would break BuildKit behind a private root, because buildx fetches tokens on the
// client's machine, without certs.d. So only the ping `/v2/` asks for a token: clients that look at the ping alone need
// one to pull anonymously, and clients that answer the challenge of each address need none.

import type { IncomingHttpHeaders } from 'node:http'
import { formatChallenge } from '../../auth/basic.ts'
import { parseHost } from '../host-header.ts'

export type ChallengeMode = 'auto' | 'basic' | 'bearer'

export interface ChallengeOptions {
  readonly mode: ChallengeMode
  readonly realm: string
  /** The `service` of tokens. */
  readonly service: string
  /** Whether the rules in force name anonymous. */
  readonly namesAnonymous: () => boolean
  /** Whether every client needs a certificate. BuildKit shows none when it fetches a token. */
  readonly demandsCertificate: boolean
}

/** What a challenge depends on. Never on the reason of a refusal, except for the holder of a token. */
export interface ChallengedRequest {
  /** As the client sent it. */
  readonly host: string | undefined
  readonly isBrowser: boolean
  /** `/v2/`. */
  readonly isPing: boolean
  /** What is wrong with the token that the client sent (RFC 6750 §3.1). Undefined if it sent none. */
  readonly tokenError: 'invalid_token' | 'insufficient_scope' | undefined
  /** The scope that would be enough. */
  readonly scope: string | undefined
}

/** Returns the function that makes the value of WWW-Authenticate. */
export function createChallenge({
  mode,
  realm,
  service,
  namesAnonymous,
  demandsCertificate,
}: ChallengeOptions): (request: ChallengedRequest) => string {
  const basic = formatChallenge(realm)
  const maySayBearer = (): boolean => mode === 'bearer' || (mode === 'auto' && namesAnonymous())

  return ({ host, isBrowser, isPing, tokenError, scope }) => {
    const isAskedForToken = isPing || tokenError !== undefined || mode === 'bearer'
    // Browsers show no dialog for Bearer.
    if (demandsCertificate || isBrowser || !isAskedForToken || !maySayBearer()) return basic
    // `admit` refuses a malformed Host. Threat: its text would become a header.
    if (host === undefined || parseHost(host) === undefined) return basic
    // Host and port as the client sent them: it trusts their certificate, and some clients refuse another host.
    const parameters = {
      realm: `https://${host}/token`,
      service,
      // Clients took a scope on the ping for their own.
      ...(isPing || scope === undefined ? {} : { scope }),
      ...(tokenError === undefined ? {} : { error: tokenError }),
    }
    return `Bearer ${Object.entries(parameters)
      .map(([name, value]) => `${name}="${value}"`)
      .join(',')}`
  }
}

/** Whether a person sits at the client, who needs a dialog. */
export function isBrowser({ accept = '', ...headers }: IncomingHttpHeaders): boolean {
  return headers['sec-fetch-mode'] !== undefined || /\btext\/html\b/i.test(accept)
}
