// Renders the trust page for browsers, `/-/`.

import { html } from 'hono/html'
import type { RegistryKeys } from '../../client-setup/client-setup.ts'
import { FETCHED_FILE } from '../../client-setup/shell-commands.ts'
import { COPY_SCRIPT } from './copy-script.ts'
import { pageHeaders, renderDocument, type Html } from './document.ts'
import { renderDate } from './quantities.ts'
import { renderCommands, renderCopyable, renderTrust, trustGroups } from './trust-commands.ts'
import type { System } from './visitor-system.ts'

export interface RootSummary {
  /** SHA-256. */
  readonly fingerprint: string
  readonly notAfter: Date
}

export interface TrustPage {
  readonly keys: RegistryKeys
  readonly root: RootSummary | undefined
  /** The system of the visitor. The page shows its commands first. */
  readonly system: System
}

export const TRUST_PAGE_HEADERS = pageHeaders({ script: COPY_SCRIPT })

/** Threat: anyone can read this page, so it shows nothing about this machine that the certificate does not show. */
export function trustPage({ keys, root, system }: TrustPage): Promise<string> {
  const [key] = keys
  return renderDocument({
    title: `Registry ${key}`,
    width: 'text',
    links: html`<nav aria-label="Other pages"><a href="/-/status">Status of the registry</a></nav>`,
    content: html`<h1>This is a container registry</h1>
      <p>
        Its name is <code>${key}</code>. You use it with docker, podman or another client. A browser cannot
        show its images.
      </p>
      ${
        root === undefined
          ? [renderNothingToTrust(), renderFirstUse(key, '')]
          : [renderRoot(root), renderTrustCommands(keys, system), renderFirstUse(key, '3. ')]
      }
      <p class="unseen" id="outcome" role="status"></p>`,
    script: COPY_SCRIPT,
  })
}

function renderNothingToTrust(): Html {
  return html`<section>
    <h2>Nothing to trust</h2>
    <p>
      The certificate of this registry was issued by another CA. Clients trust public CAs by default. If your
      client reports <code>certificate signed by unknown authority</code>, ask the operator of this registry
      for the root certificate.
    </p>
  </section>`
}

function renderRoot({ fingerprint, notAfter }: RootSummary): Html {
  return html`<section>
    <h2>1. Check the root certificate</h2>
    <p>
      A client connects only if it trusts the root certificate of this registry. Set this up once on each
      machine.
      <a href="/-/ca.crt" download="${FETCHED_FILE}">Download the certificate</a>, or use the commands of step
      2. It is valid until ${renderDate(notAfter.toISOString())}.
    </p>
    <p>Its SHA-256 fingerprint:</p>
    ${renderCopyable(html`<pre class="wrapped">${breakable(fingerprint)}</pre>`, 'the fingerprint')}
    <p class="care">
      Ask the operator of this registry for the fingerprint, and compare the two fingerprints. Until you trust
      the certificate, an attacker on the network could change this page and the certificate. The operator
      finds the fingerprint in the log of the sidecar and in the output of
      <code>registry-sidecar trust</code>.
    </p>
  </section>`
}

/** Lets a browser break the line after each colon in a narrow window. */
function breakable(fingerprint: string): Html {
  return html`${fingerprint.split(':').map((byte, index) => (index === 0 ? byte : html`:<wbr />${byte}`))}`
}

function renderTrustCommands(keys: RegistryKeys, system: System): Html {
  const [own, ...others] = trustGroups(keys, system)
  return html`<section>
    <h2>2. Trust the certificate on ${own.title}</h2>
    ${renderTrust(own)}
    ${others.map(
      (group) =>
        html`<details>
          <summary>Trust the certificate on ${group.title}</summary>
          ${renderTrust(group)}
        </details>`,
    )}
    <p class="soft">
      <code>registry-sidecar trust</code> prints the commands for more clients: rootless docker, buildkit,
      kaniko, crane, oras, helm, Kubernetes nodes and k3s.
    </p>
  </section>`
}

function renderFirstUse(key: string, step: string): Html {
  const lines = [`docker login ${key}`, `docker tag IMAGE ${key}/IMAGE`, `docker push ${key}/IMAGE`]
  return html`<section>
    <h2>${step}Log in, push and pull</h2>
    <p>The operator of this registry gives you a user name and a password.</p>
    ${renderCommands(lines, 'the commands to log in and push')}
    <p>
      Write the name of the registry in the same way everywhere. A client treats <code>HOST</code> and
      <code>HOST:443</code> as two registries.
    </p>
  </section>`
}
