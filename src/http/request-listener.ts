// Hands the requests of a Node server to Hono.
// Hono's adapter for Node would load Node's fetch and HTTP/2, which takes 9 MiB and 30 ms of the start (measured).

import type { Env, Hono } from 'hono'
import type { RequestListener } from 'node:http'
import type { Exchanged } from './answers.ts'

/** Hono chooses the steps by method and path. The steps read the request and answer on Node's objects. */
export function createRequestListener<E extends Env & { readonly Bindings: Exchanged }>(
  app: Hono<E>,
): RequestListener {
  return (incoming, outgoing) => {
    const { method = 'GET', url = '' } = incoming
    // The same steps answer HEAD, and Node leaves the body out.
    const routed: Routed = { method: method === 'HEAD' ? 'GET' : method, url: routedUrl(url) }
    answer(app, routed, { incoming, outgoing }).catch(() => outgoing.destroy())
  }
}

type Routed = Pick<Request, 'method' | 'url'>

async function answer<E extends Env>(app: Hono<E>, routed: Routed, exchanged: Exchanged): Promise<void> {
  await app.fetch(routed as Request, exchanged)
}

const ABSOLUTE_FORM = /^https?:\/\/[^/]*(?<path>\/.*)$/i

// A target without a path has no route. The steps still see it, and refuse it.
function routedUrl(target: string): string {
  const path = target.startsWith('/') ? target : ABSOLUTE_FORM.exec(target)?.groups?.['path']
  return `http://localhost${path ?? '/'}`
}
