// Routes browsers to the trust page on the TLS listener.

import type { Hono } from 'hono'
import type { Env, Step } from '../pipeline/step.ts'
import type { CertificateNames } from './shown-keys.ts'
import type { RootSummary } from './trust-page.ts'

export interface PageFacts extends CertificateNames {
  readonly root: () => RootSummary | undefined
}

const TRUST_PAGE = '/-/'

export function addPages(app: Hono<Env>, facts: PageFacts): void {
  app.get(TRUST_PAGE, async (c) => {
    const { PAGE_HEADERS, shownKeys, trustPage } = await loadTrustPage()
    const keys = shownKeys(c.env.incoming.headers.host, facts)
    return c.body(await trustPage({ keys, root: facts.root() }), 200, PAGE_HEADERS)
  })
  app.get('/', redirectBrowsers())
}

// Loaded on demand, because people open this page a few times and clients never do.
async function loadTrustPage() {
  const [document, keys, page] = await Promise.all([
    import('./document.ts'),
    import('./shown-keys.ts'),
    import('./trust-page.ts'),
  ])
  return { ...document, ...keys, ...page }
}

// A registry client that requests `/` must get a 404 in the registry's form.
function redirectBrowsers(): Step {
  return async function redirectBrowser(c, next) {
    if (!/\btext\/html\b/i.test(c.env.incoming.headers.accept ?? '')) return next()
    // A header of Hono's answer would replace the Vary that an earlier step has set.
    c.env.outgoing.appendHeader('Vary', 'Accept')
    // Threat: a forged Host header. The location is relative, so it does not repeat that header.
    return c.body(null, 302, { Location: TRUST_PAGE, 'Cache-Control': 'no-store' })
  }
}
