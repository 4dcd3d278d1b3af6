// Routes browsers to the trust page on the TLS listener.

import type { Hono } from 'hono'
import { acceptsHtml } from '../accepts-html.ts'
import { sendAnswer } from '../answers.ts'
import type { Env, Step } from '../pipeline/step.ts'
import type { CertificateNames } from './shown-keys.ts'
import type { RootSummary } from './trust-page.ts'

export interface PageFacts extends CertificateNames {
  readonly root: () => RootSummary | undefined
}

const TRUST_PAGE = '/-/'

// Threat: a client forges the Host header. The location is relative, so it does not contain that header.
const REDIRECT = { Location: TRUST_PAGE, 'Cache-Control': 'no-store' }

export function addPages(app: Hono<Env>, facts: PageFacts): void {
  app.get(TRUST_PAGE, async (c) => {
    const { TRUST_PAGE_HEADERS, shownKeys, trustPage, visitorSystem } = await loadTrustPage()
    const { headers } = c.env.incoming
    const keys = shownKeys(headers.host, facts)
    const page = await trustPage({ keys, root: facts.root(), system: visitorSystem(headers) })
    return sendAnswer(c.env, { status: 200, headers: TRUST_PAGE_HEADERS, body: page })
  })
  app.get('/', redirectBrowsers())
}

// Loaded on demand, because people open this page rarely and registry clients never request it.
async function loadTrustPage() {
  const [keys, page, system] = await Promise.all([
    import('./shown-keys.ts'),
    import('./trust-page.ts'),
    import('./visitor-system.ts'),
  ])
  return { ...keys, ...page, ...system }
}

// A registry client that requests `/` must get a 404 in the registry's form.
function redirectBrowsers(): Step {
  return async function redirectBrowser(c, next) {
    if (!acceptsHtml(c.env.incoming.headers)) return next()
    c.env.outgoing.appendHeader('Vary', 'Accept')
    return sendAnswer(c.env, { status: 302, headers: REDIRECT, body: '' })
  }
}
