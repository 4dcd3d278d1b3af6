// Formats the answer to a request for a token.

import { formatScopes, type AskedScope } from './scope-parameter.ts'
import { TOKEN_LIFE_S } from './signed-tokens.ts'

export interface TokenAnswer {
  readonly token: string
  /** The scopes that were asked for, as far as the holder has them. */
  readonly granted: readonly AskedScope[]
}

/**
 * The body of the answer. It has the token under both names, because some clients read only one of them. It has no
 * `issued_at`: clients would count from it with their own clock, and a client whose clock is behind would use a token
 * that has expired.
 */
export function formatTokenAnswer({ token, granted }: TokenAnswer): string {
  const scope = formatScopes(granted)
  return `${JSON.stringify({
    token,
    access_token: token,
    expires_in: TOKEN_LIFE_S,
    ...(scope === '' ? {} : { scope }),
  })}\n`
}
