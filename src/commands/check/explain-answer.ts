// What an answer to `GET /v2/` without credentials tells of who gave it.

import { printable, type Finding } from './finding.ts'
import type { RegistryAnswer } from './ask-registry.ts'

type Explanation = Omit<Finding, 'part'>
type Answer = Extract<RegistryAnswer, { readonly kind: 'answer' }>

/** What to think of it. A registry answers 401 with a challenge, or 200 (OCI distribution specification, end-1). */
export function explainAnswer(answer: RegistryAnswer): Finding {
  return { part: 'answer', ...explain(answer) }
}

function explain(answer: RegistryAnswer): Explanation {
  switch (answer.kind) {
    case 'late':
      return {
        level: 'problem',
        text: 'the handshake is done, but GET /v2/ gets no answer',
        mend: LOOK_THERE,
      }
    case 'broken':
      return explainBreak(answer.code)
    case 'answer':
      return explainStatus(answer)
  }
}

const LOOK_THERE = 'look at its log, and run `registry-sidecar check` where it runs'

const DEMANDS_CERTIFICATE: Explanation = {
  level: 'problem',
  text: 'it demands a client certificate, and this command shows none',
  mend: 'clients need client.cert and client.key beside ca.crt in certs.d, issued by the authority it accepts',
}

function explainBreak(code: string): Explanation {
  if (code === 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED') return DEMANDS_CERTIFICATE
  if (code.startsWith('HPE_')) {
    return { level: 'problem', text: `it answers in TLS, but not in HTTP (${code})`, mend: NO_REGISTRY }
  }
  const mend = `it may demand a client certificate without saying so; ${LOOK_THERE}`
  return { level: 'problem', text: `it ends the connection after the handshake (${code})`, mend }
}

const NO_REGISTRY = 'another service listens there: is the port right?'

function explainStatus(answer: Answer): Explanation {
  const { status } = answer
  if (status === 401) return explainChallenge(answer)
  if (status === 200) return explainOpenDoor(answer)
  const said = messageOf(answer)
  const text = `GET /v2/ answers ${status}${said}`
  if (status === 429) return { level: 'note', text, mend: 'too many failed logins came from here: wait' }
  if (status === 400 && /client certificate|SSL certificate/i.test(answer.body)) return DEMANDS_CERTIFICATE
  if (status === 403) return { level: 'problem', text, mend: 'do what it says' }
  if (status >= 500) return { level: 'problem', text, mend: LOOK_THERE }
  if (status >= 300 && status < 400) {
    const to = printable(answer.headers.location ?? 'nowhere')
    return { level: 'problem', text: `${text} and sends clients to ${to}`, mend: NO_REGISTRY }
  }
  return { level: 'problem', text: `${text}: no registry does`, mend: NO_REGISTRY }
}

function explainChallenge({ headers }: Answer): Explanation {
  const challenge = headers['www-authenticate']
  if (challenge === undefined) {
    const mend = 'something before it takes the header WWW-Authenticate away: let it pass'
    return { level: 'problem', text: 'GET /v2/ answers 401 without saying how to log in', mend }
  }
  const text = `GET /v2/ asks for a login: ${printable(challenge)}`
  if (!/^(?:basic|bearer) .*realm="[^"]/i.test(challenge)) {
    return { level: 'problem', text, mend: 'registry clients know Basic and Bearer, with a realm' }
  }
  if (isFromRegistry({ headers })) return { level: 'ok', text }
  return { level: 'note', text: `${text}; without Docker-Distribution-Api-Version it may be another service` }
}

function explainOpenDoor({ headers }: Answer): Explanation {
  if (!isFromRegistry({ headers })) {
    return { level: 'problem', text: 'GET /v2/ answers 200, but not as a registry does', mend: NO_REGISTRY }
  }
  const mend =
    'if a sidecar should answer here, this is the registry past it: publish the port of the sidecar only'
  return { level: 'note', text: 'GET /v2/ answers 200: everybody gets in without a login', mend }
}

function isFromRegistry({ headers }: Pick<Answer, 'headers'>): boolean {
  return String(headers['docker-distribution-api-version'] ?? '').startsWith('registry/2')
}

// The registry's error envelope, if it is one.
function messageOf({ body }: Answer): string {
  const message = /"message":"((?:[^"\\]|\\.)*)"/.exec(body)?.[1]
  return message === undefined ? '' : `: ${printable(message)}`
}
