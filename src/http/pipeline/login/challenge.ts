// Decides which challenge a 401 carries.
// No answer offers both Basic and Bearer, because dockerd processes both, and Basic would overwrite the token.
// Buildx fetches tokens without certs.d, so Bearer everywhere would break BuildKit behind a private root.
// So in mode `auto` only the ping, `/v2/`, offers Bearer. Clients that read only the ping pull anonymously with a token.

import type { IncomingHttpHeaders } from 'node:http'
import { scopeOf, type Scope } from '../../../access/scope.ts'
import { formatChallenge } from '../../../auth/basic.ts'
import { TOKEN_SERVICE } from '../../../tokens/signed-tokens.ts'
import { acceptsHtml } from '../../accepts-html.ts'
import { parseHost } from '../../host-header.ts'
import { unauthorized, type Refusal } from '../../refusals.ts'
import type { PipelineContext } from '../step.ts'

export type ChallengeMode = 'auto' | 'basic' | 'bearer'

export interface ChallengeOptions {
  readonly mode: ChallengeMode
  readonly realm: string
  readonly namesAnonymous: () => boolean
  /** BuildKit shows no client certificate when it fetches a token. */
  readonly demandsCertificate: boolean
}

/** RFC 6750 §3.1. */
export type TokenError = 'invalid_token' | 'insufficient_scope'

/** Threat: a challenge never depends on the reason of a refusal, except for clients with a token. */
export interface ChallengedRequest {
  readonly host: string | undefined
  readonly isBrowser: boolean
  readonly isPing: boolean
  readonly tokenError: TokenError | undefined
  readonly scope: string | undefined
}

export interface Challenges {
  readonly of: (c: PipelineContext, tokenError?: TokenError) => Refusal
  /** For `/token`, which takes passwords only. */
  readonly basic: Refusal
}

export function createChallenges(options: ChallengeOptions): Challenges {
  return {
    of: ({ env: { incoming } }, tokenError) => {
      const { method = '', url = '', headers } = incoming
      const scope = scopeOf(method, url)
      const request: ChallengedRequest = {
        host: headers.host,
        isBrowser: isBrowser(headers),
        isPing: scope.kind === 'login',
        tokenError,
        scope: formatScope(scope),
      }
      return unauthorized(challengeFor(request, options))
    },
    basic: unauthorized(formatChallenge(options.realm)),
  }
}

export function challengeFor(
  { host, isBrowser, isPing, tokenError, scope }: ChallengedRequest,
  { mode, realm, namesAnonymous, demandsCertificate }: ChallengeOptions,
): string {
  const isAskedForToken = isPing || tokenError !== undefined || mode === 'bearer'
  const isBearerUsed = mode === 'bearer' || (mode === 'auto' && namesAnonymous())
  // Browsers show no dialog for Bearer. The Host is checked again, because it becomes part of a header.
  const isHostUsable = host !== undefined && parseHost(host) !== undefined
  if (demandsCertificate || isBrowser || !isAskedForToken || !isBearerUsed || !isHostUsable)
    return formatChallenge(realm)
  const parameters = {
    // Host and port as the client sent them, because clients refuse or distrust any other.
    realm: `https://${host}/token`,
    service: TOKEN_SERVICE,
    // Some clients take a scope on the ping for the name of a repository.
    ...(isPing || scope === undefined ? {} : { scope }),
    ...(tokenError === undefined ? {} : { error: tokenError }),
  }
  return `Bearer ${Object.entries(parameters)
    .map(([name, value]) => `${name}="${value}"`)
    .join(',')}`
}

export function isBrowser(headers: IncomingHttpHeaders): boolean {
  return headers['sec-fetch-mode'] !== undefined || acceptsHtml(headers)
}

// As in the registry software `distribution`. `repository` has no characters that need quoting.
function formatScope(scope: Scope): string | undefined {
  if (scope.kind === 'catalog') return 'registry:catalog:*'
  if (scope.kind !== 'repository') return undefined
  const [action] = scope.anyOf
  return `repository:${scope.repository}:${action === 'push' ? 'pull,push' : (action ?? 'pull')}`
}
