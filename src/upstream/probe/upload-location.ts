import { request, type IncomingMessage } from 'node:http'
import { createLocationRewrite } from '../location-rewrite.ts'
import { demandsLogin } from '../login-demand.ts'

/** Which Location the registry gives for an upload that a client begins at `https://<host>`. */
export type LocationFinding =
  | { readonly kind: 'fitting'; readonly location: string }
  | { readonly kind: 'misleading'; readonly location: string }
  /** It begins no upload without a login of its own. */
  | { readonly kind: 'demands-login' }
  | { readonly kind: 'unknown'; readonly reason: string }

export interface LocationQuestion {
  readonly hostname: string
  readonly port: number
  /** As clients write it, with its port. */
  readonly host: string
}

const TIMEOUT_MS = 5_000

/**
 * Begins an upload as the sidecar would on a client's behalf, reads the Location that the client would get, and
 * cancels the upload.
 * Clients follow that Location with their password: it must be relative or name what they called.
 */
export async function askForLocation({ hostname, port, host }: LocationQuestion): Promise<LocationFinding> {
  const headers = { host, 'x-forwarded-proto': 'https', 'x-forwarded-host': host }
  const send = (method: string, path: string) =>
    exchange({ hostname, port, method, path, headers: { ...headers, 'content-length': '0' } })
  try {
    const begun = await send('POST', '/v2/registry-sidecar-check/blobs/uploads/')
    if (demandsLogin(begun.statusCode)) return { kind: 'demands-login' }
    const { location } = begun.headers
    if (begun.statusCode !== 202 || location === undefined) {
      return { kind: 'unknown', reason: `beginning an upload answers ${begun.statusCode ?? 0}` }
    }
    const url = new URL(location, `https://${host}`)
    await send('DELETE', `${url.pathname}${url.search}`)
    const passed = createLocationRewrite({ hostname, port })(location, host)
    const isFitting = passed.startsWith('/') || passed.startsWith(`https://${host}/`)
    return { kind: isFitting ? 'fitting' : 'misleading', location: passed.split('?', 1)[0] ?? '' }
  } catch (error) {
    return { kind: 'unknown', reason: error instanceof Error ? error.message : String(error) }
  }
}

interface Question {
  readonly hostname: string
  readonly port: number
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

function exchange(question: Question): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { ...question, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) },
      (response) => {
        response.on('error', reject)
        response.resume()
        resolve(response)
      },
    )
    sent.on('error', reject)
    sent.end()
  })
}
