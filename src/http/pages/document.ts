// Renders the HTML document and headers that all pages share.
// Threat: a page shows text that a client chose. `html` escapes each value, and the policy allows no script.

import { html, raw } from 'hono/html'
import { createHash } from 'node:crypto'

export type Html = ReturnType<typeof html>

const STYLE = `
:root { color-scheme: light dark; --faint: #8883; --warm: #b45309 }
@media (prefers-color-scheme: dark) { :root { --warm: #fbbf24 } }
body { background: canvas; color: canvastext; font: 1rem/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 46rem; padding: 1.5rem 1rem 4rem }
h1 { font-size: 1.6rem; line-height: 1.25 }
h2 { font-size: 1.2rem; margin-top: 2.25rem }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem }
p { margin: .5rem 0; overflow-wrap: anywhere }
code, pre { font: .9rem/1.5 ui-monospace, monospace }
code { overflow-wrap: anywhere }
pre { background: var(--faint); border-radius: .4rem; overflow-x: auto; padding: .7rem .9rem }
pre.wrapped { overflow-wrap: anywhere; white-space: pre-wrap }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--faint); padding: .4rem .6rem .4rem 0; text-align: left; vertical-align: top }
.reason { min-width: 8.5rem; overflow-wrap: anywhere }
@media (max-width: 30rem) { table { font-size: .875rem } }
.care { border-left: .25rem solid var(--warm); padding-left: .8rem }
.small { font-size: .9rem; opacity: .8 }
`

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** No cache may keep a page, because the next renewal can change it. */
export const PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
} as const

export async function renderDocument(title: string, body: Html): Promise<string> {
  const page = await html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        ${raw(`<style>${STYLE}</style>`)}
      </head>
      <body>
        <main>${body}</main>
      </body>
    </html> `
  return page.toString()
}
