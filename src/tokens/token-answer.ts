// Formats the answer to a request for a token.

import { formatScopes, type AskedScope } from './scope-parameter.ts'
import { TOKEN_LIFE_S } from './signed-tokens.ts'

export interface TokenAnswer {
  readonly token: string
  readonly granted: readonly AskedScope[]
}

/** Has two names for the token, because some clients read only one. Has no `issued_at`, because client clocks differ. */
export function formatTokenAnswer({ token, granted }: TokenAnswer): string {
  const scope = formatScopes(granted)
  return `${JSON.stringify({
    token,
    access_token: token,
    expires_in: TOKEN_LIFE_S,
    ...(scope === '' ? {} : { scope }),
  })}\n`
}
