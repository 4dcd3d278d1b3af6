// Renders the page for users who may not see the status.

import { html } from 'hono/html'
import { pageHeaders, renderDocument, type Html } from './document.ts'

export interface DeniedPage {
  readonly username: string
  readonly deniedBy: 'rules' | 'machine password'
}

export const DENIED_PAGE_HEADERS = pageHeaders()

export function deniedPage({ username, deniedBy }: DeniedPage): Promise<string> {
  return renderDocument({
    title: 'No right to see the status',
    width: 'text',
    links: html`<nav aria-label="Other pages"><a href="/-/">Set up a client</a></nav>`,
    content: html`<h1>You may not see the status of this registry</h1>
      <p>You are logged in as <code>${username}</code>.</p>
      <section>
        <h2>How to get the right</h2>
        ${deniedBy === 'rules' ? RULES : MACHINE_PASSWORD}
        <p>
          Your browser keeps this login until you close it. To log in as another user, open a private window.
        </p>
      </section>`,
  })
}

const RULES: Html = html`<p>
    The access rules of this registry do not give you the right <code>status</code>. The operator of this
    registry can give it to you. To do so, the operator adds <code>status</code> to a rule for you in the
    rules file:
  </p>
  <pre>allow: [status]</pre>`

const MACHINE_PASSWORD: Html = html`<p>
  This machine password does not have the right <code>status</code>. Log in with your own password, or with a
  machine password that was created with <code>--allow status</code>.
</p>`
