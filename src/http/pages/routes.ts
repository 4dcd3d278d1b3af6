// The addresses of the pages for a person on the TLS listener. No login: they say how to get one to work.

import type { Hono } from 'hono'
import type { Env, Step } from '../pipeline.ts'
import { PAGE_HEADERS } from './document.ts'
import { shownKeys, type KnownNames } from './shown-keys.ts'
import { trustPage, type ShownRoot } from './trust-page.ts'

export interface PageFacts extends KnownNames {
  readonly root: () => ShownRoot | undefined
}

const PAGE = '/-/'

/** `/-/`, and the way there from `/` for browsers. Everything else falls through. */
export function addPages(app: Hono<Env>, facts: PageFacts): void {
  app.get(PAGE, async (c) => {
    const keys = shownKeys(c.env.incoming.headers.host, facts)
    return c.body(await trustPage({ keys, root: facts.root() }), 200, PAGE_HEADERS)
  })
  app.get('/', sendBrowsersToPage())
}

// A registry client that asks for `/` wants the registry's form, and gets its 404.
function sendBrowsersToPage(): Step {
  return async function sendBrowserToPage(c, next) {
    if (!/\btext\/html\b/i.test(c.env.incoming.headers.accept ?? '')) return next()
    // Without a host: nothing of what the client sent comes back.
    return c.body(null, 302, { Location: PAGE, Vary: 'Accept', 'Cache-Control': 'no-store' })
  }
}
