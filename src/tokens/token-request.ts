// Reads requests for a token.
// A client sends credentials in the Authorization header, or in a form (distribution's "Oauth2 Token Authentication").

import { parseAuthorization } from '../auth/authorization-header.ts'
import { checkCredentials, type Credentials } from '../auth/basic.ts'
import { parseScopes, type AskedScope } from './scope-parameter.ts'

/** The reasons are for the log, and never repeat what the client sent. */
export type TokenRequest =
  | {
      readonly kind: 'credentials'
      readonly credentials: Credentials
      readonly scopes: readonly AskedScope[]
    }
  /** Only a client without any credentials may get a token for anonymous. */
  | { readonly kind: 'no credentials'; readonly scopes: readonly AskedScope[] }
  | { readonly kind: 'malformed credentials'; readonly reason: string }
  /** The request can be read in two ways, or asks for something else than a token. */
  | { readonly kind: 'unsupported'; readonly reason: string }

export interface ReceivedTokenRequest {
  readonly authorization: string | undefined
  readonly query: string
  readonly form: string | undefined
}

const CREDENTIAL_FIELDS = ['grant_type', 'username', 'password', 'refresh_token'] as const

export function readTokenRequest({ authorization, query, form }: ReceivedTokenRequest): TokenRequest {
  const inQuery = new URLSearchParams(query)
  // Threat: proxies log URLs. Without this check, a client with credentials in the URL would get an anonymous token.
  if (CREDENTIAL_FIELDS.some((name) => inQuery.has(name))) return unsupported('credentials in the URL')
  const inForm = new URLSearchParams(form ?? '')
  // Threat: of two values, one program reads the first and another the last.
  if (CREDENTIAL_FIELDS.some((name) => inForm.getAll(name).length > 1)) {
    return unsupported('a form with two values of one field')
  }
  const scopes = parseScopes([...inQuery.getAll('scope'), ...inForm.getAll('scope')])
  const [header, fields] = [parseAuthorization(authorization), credentialsIn(inForm)]
  if (header.kind !== 'absent' && fields.kind !== 'no credentials') {
    return unsupported('credentials in the form and in a header')
  }
  switch (header.kind) {
    case 'absent':
      return fields.kind === 'no credentials' || fields.kind === 'credentials'
        ? { ...fields, scopes }
        : fields
    // Threat: a token that gives the next token would never end.
    case 'token':
      return malformed('a token instead of a password')
    case 'malformed':
      return malformed(header.reason)
    case 'credentials': {
      const { username, password } = header
      return { kind: 'credentials', credentials: { username, password }, scopes }
    }
  }
}

type FormCredentials =
  | { readonly kind: 'credentials'; readonly credentials: Credentials }
  | { readonly kind: 'no credentials' }
  | Extract<TokenRequest, { readonly reason: string }>

function credentialsIn(form: URLSearchParams): FormCredentials {
  const grant = form.get('grant_type') ?? 'password'
  // No answer contains a refresh token, because docker would store it in place of the password.
  if (grant === 'refresh_token' || (form.get('refresh_token') ?? '') !== '')
    return malformed('a refresh token')
  if (grant !== 'password') return unsupported('a form with an unknown grant_type')
  const [username, password] = [form.get('username') ?? '', form.get('password') ?? '']
  const checked = checkCredentials({ username, password })
  switch (checked.kind) {
    case 'absent':
      return { kind: 'no credentials' }
    case 'malformed':
      return malformed(checked.reason)
    case 'credentials':
      return { kind: 'credentials', credentials: { username, password } }
  }
}

function malformed(reason: string): Extract<TokenRequest, { readonly kind: 'malformed credentials' }> {
  return { kind: 'malformed credentials', reason }
}

function unsupported(reason: string): Extract<TokenRequest, { readonly kind: 'unsupported' }> {
  return { kind: 'unsupported', reason }
}
