// Renders the HTML document and headers that all pages share.
// Threat: a page shows text that a client chose. `html` escapes each value, and the policy allows only our scripts.

import { html, raw } from 'hono/html'
import { createHash } from 'node:crypto'
import { STYLE } from './page-style.ts'

export type Html = ReturnType<typeof html>

export interface PageDocument {
  readonly title: string
  /** `text` keeps lines short enough to read. `tables` uses more of the window. */
  readonly width: 'text' | 'tables'
  readonly links?: Html
  readonly content: Html
  readonly script?: string
}

export interface PagePolicy {
  readonly script?: string
  /** By default, scripts may send no requests. */
  readonly connect?: "'self'"
}

export type PageHeaders = Readonly<Record<string, string>>

/** No cache may keep a page, because the next renewal can change it. */
export function pageHeaders({ script, connect }: PagePolicy = {}): PageHeaders {
  const policy = [
    "default-src 'none'",
    `style-src ${hashOf(STYLE)}`,
    ...(script === undefined ? [] : [`script-src ${hashOf(script)}`]),
    ...(connect === undefined ? [] : [`connect-src ${connect}`]),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': policy.join('; '),
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
  }
}

export async function renderDocument({
  title,
  width,
  links,
  content,
  script,
}: PageDocument): Promise<string> {
  const page = await html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        ${raw(`<style>${STYLE}</style>`)}
      </head>
      <body class="${width}">
        <header><span>registry-sidecar</span>${links ?? ''}</header>
        <main>${content}</main>
        ${script === undefined ? '' : raw(`<script>${script}</script>`)}
      </body>
    </html> `
  return page.toString()
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
