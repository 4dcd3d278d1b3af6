// Explains a registry's answer to `GET /v2/` without credentials.

import type { SmallAnswer } from '../../upstream/probe/small-request.ts'
import { printable, type Finding } from '../check/finding.ts'

type AnswerFinding = Omit<Finding, 'part'>
type Answer = Extract<SmallAnswer, { readonly kind: 'answer' }>

/** A registry answers 401 with a challenge, or 200 (OCI distribution specification, end-1). */
export function explainAnswer(answer: SmallAnswer): Finding {
  return { part: 'answer', ...explainByKind(answer) }
}

function explainByKind(answer: SmallAnswer): AnswerFinding {
  switch (answer.kind) {
    case 'timeout':
      return {
        level: 'problem',
        text: 'the handshake succeeded, but GET /v2/ got no answer',
        hint: SEE_SERVER,
      }
    case 'failed':
      return explainBrokenConnection(answer.code)
    case 'answer':
      return explainStatus(answer)
  }
}

const SEE_SERVER = 'see the log of the server, and run `registry-sidecar check` on its machine'
const OTHER_SERVICE = 'another service may listen there: check the port'

const DEMANDS_CERTIFICATE: AnswerFinding = {
  level: 'problem',
  text: 'the server demands a client certificate, but this command sends none',
  hint: 'clients need client.cert and client.key beside ca.crt in certs.d, issued by a CA that the server accepts',
}

function explainBrokenConnection(code: string): AnswerFinding {
  if (code === 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED') return DEMANDS_CERTIFICATE
  if (code.startsWith('HPE_')) {
    return { level: 'problem', text: `the server speaks TLS but not HTTP (${code})`, hint: OTHER_SERVICE }
  }
  const hint = `the server may demand a client certificate without saying so; ${SEE_SERVER}`
  return { level: 'problem', text: `the server closes the connection after the handshake (${code})`, hint }
}

function explainStatus(answer: Answer): AnswerFinding {
  const { status } = answer
  if (status === 401) return explainChallenge(answer)
  if (status === 200) return explainNoAuth(answer)
  const message = errorMessageOf(answer)
  const text = `GET /v2/ answers ${status}${message}`
  if (status === 429)
    return { level: 'note', text, hint: 'too many logins from this address failed: wait, then try again' }
  if (status === 400 && /client certificate|SSL certificate/i.test(answer.body)) return DEMANDS_CERTIFICATE
  if (status === 403) {
    const hint =
      message === '' ? 'the server forbids access: see its log' : 'follow the message of the server'
    return { level: 'problem', text, hint }
  }
  if (status >= 500) return { level: 'problem', text, hint: SEE_SERVER }
  if (status >= 300 && status < 400) {
    const { location } = answer.headers
    const redirect =
      location === undefined
        ? ', a redirect without the header Location'
        : ` and redirects clients to ${printable(location)}`
    return { level: 'problem', text: `${text}${redirect}`, hint: OTHER_SERVICE }
  }
  return { level: 'problem', text: `${text}, a status that no registry sends`, hint: OTHER_SERVICE }
}

function explainChallenge({ headers }: Answer): AnswerFinding {
  const challenge = headers['www-authenticate']
  if (challenge === undefined) {
    const hint = 'a proxy in front of the registry may remove the header: configure the proxy to keep it'
    return { level: 'problem', text: 'GET /v2/ answers 401 without the header WWW-Authenticate', hint }
  }
  const text = `GET /v2/ asks for a login: ${printable(challenge)}`
  if (!/^(?:basic|bearer) .*realm="[^"]/i.test(challenge)) {
    return { level: 'problem', text, hint: 'registry clients need a Basic or Bearer challenge with a realm' }
  }
  if (isFromRegistry({ headers })) return { level: 'ok', text }
  return {
    level: 'note',
    text: `${text}; the header Docker-Distribution-Api-Version is missing, so it may be another service`,
  }
}

function explainNoAuth({ headers }: Answer): AnswerFinding {
  if (!isFromRegistry({ headers })) {
    const text = 'GET /v2/ answers 200 without the header Docker-Distribution-Api-Version of a registry'
    return { level: 'problem', text, hint: OTHER_SERVICE }
  }
  const hint =
    'if a sidecar should answer here, clients bypass it and reach the registry: publish only the port of the sidecar'
  return { level: 'note', text: 'GET /v2/ answers 200: anyone has access without a login', hint }
}

function isFromRegistry({ headers }: Pick<Answer, 'headers'>): boolean {
  return String(headers['docker-distribution-api-version'] ?? '').startsWith('registry/2')
}

function errorMessageOf({ body }: Answer): string {
  const message = /"message":"((?:[^"\\]|\\.)*)"/.exec(body)?.[1]
  return message === undefined ? '' : `: ${printable(message)}`
}
