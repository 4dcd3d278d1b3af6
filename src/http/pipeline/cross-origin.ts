// Lets pages of listed origins call the registry (CORS).
// Threat: a page acts with the login that its visitor's browser has stored. Browsers send a plain POST unasked.
// They also remember answers for removed origins. So this file refuses writes from pages of other origins.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { REQUEST_HEADERS } from '../../upstream/headers.ts'
import { refusal } from '../refusals.ts'
import { METHODS } from './admit.ts'
import { refuse, type PipelineContext, type Step } from './step.ts'
import { ANSWERED } from '../answers.ts'

// Threat: a registry UI needs only the registry and its tokens. The live status names users, addresses and repositories.
const SHARED_PATH = /^\/(?:v2(?:\/.*)?|token)$/

/** Browsers expose few other headers to a page's script. */
const EXPOSED_HEADERS = [
  'Accept-Ranges',
  'Allow',
  'Content-Length',
  'Content-Range',
  'Docker-Content-Digest',
  'Docker-Distribution-Api-Version',
  'Docker-Upload-UUID',
  'ETag',
  'Link',
  'Location',
  'OCI-Chunk-Max-Length',
  'OCI-Chunk-Min-Length',
  'OCI-Filters-Applied',
  'OCI-Subject',
  'Range',
  'Retry-After',
  'Warning',
  'WWW-Authenticate',
].join(', ')

/** The headers in the second line are ignored, but some libraries send them. */
const ALLOWED_HEADERS = [
  ...['authorization', ...REQUEST_HEADERS],
  ...['docker-content-digest', 'docker-distribution-api-version', 'docker-upload-uuid', 'x-requested-with'],
].join(', ')

// Chromium remembers no answer longer than this, other browsers up to a day.
const REMEMBERED_S = 7_200

const PREFLIGHT_ANSWER = {
  'Access-Control-Allow-Methods': [...METHODS].join(', '),
  'Access-Control-Allow-Headers': ALLOWED_HEADERS,
  'Access-Control-Max-Age': String(REMEMBERED_S),
} as const

const WRITES: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

const NOT_LISTED = refusal(
  'denied',
  'pages of this origin may change nothing here; the operator can list it in SIDECAR_CORS_ORIGINS',
)

/** Comes before all steps that answer. */
export function shareAnswers(origins: readonly string[]): Step {
  return async function shareAnswer(c, next) {
    const { outgoing } = c.env
    outgoing.appendHeader('Vary', 'Origin')
    const origin = mayShare(c) ? listedOrigin(c.env.incoming, origins) : undefined
    if (origin !== undefined) allowToRead(outgoing, origin)
    await next()
  }
}

/** Needs no login, because browsers send none with preflights. Comes after `admit`. */
export function answerPreflights(origins: readonly string[]): Step {
  return async function answerPreflight(c, next) {
    const { incoming, outgoing } = c.env
    if (!mayShare(c) || !isPreflight(incoming) || listedOrigin(incoming, origins) === undefined) {
      await next()
      return undefined
    }
    // Browsers ask this before a page of a public address calls a private address (WICG Private Network Access).
    if (incoming.headers['access-control-request-private-network'] === 'true') {
      outgoing.setHeader('Access-Control-Allow-Private-Network', 'true')
    }
    outgoing.writeHead(204, PREFLIGHT_ANSWER).end()
    return ANSWERED
  }
}

export function refuseForeignWrites(origins: readonly string[]): Step {
  return async function refuseForeignWrite(c, next) {
    const { incoming } = c.env
    if (isForeignWrite(incoming) && listedOrigin(incoming, origins) === undefined) {
      return refuse(c, NOT_LISTED, 'write from a page of another origin')
    }
    await next()
    return undefined
  }
}

// The same path chooses the route.
function mayShare(c: PipelineContext): boolean {
  return SHARED_PATH.test(c.req.path)
}

// The list's own text is sent back, never the request's.
function listedOrigin({ headers }: IncomingMessage, origins: readonly string[]): string | undefined {
  return origins.find((origin) => origin === headers.origin)
}

function allowToRead(outgoing: ServerResponse, origin: string): void {
  outgoing.setHeader('Access-Control-Allow-Origin', origin)
  outgoing.setHeader('Access-Control-Allow-Credentials', 'true')
  outgoing.setHeader('Access-Control-Expose-Headers', EXPOSED_HEADERS)
}

function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
}

// Registry clients send no Origin. The sidecar's own pages send its own.
function isForeignWrite({ method = '', headers: { origin, host } }: IncomingMessage): boolean {
  return WRITES.has(method) && origin !== undefined && origin !== `https://${host ?? ''}`
}
