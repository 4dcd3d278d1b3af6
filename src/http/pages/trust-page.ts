// Renders the trust page for browsers, `/-/`.

import { html } from 'hono/html'
import type { ClientTrust, RegistryKeys } from '../../client-setup/client-setup.ts'
import { trustClients } from '../../client-setup/clients.ts'
import { fetchCommands, FETCHED_FILE } from '../../client-setup/shell-commands.ts'
import { pageHeaders, renderDocument, type Html } from './document.ts'

export const TRUST_PAGE_HEADERS = pageHeaders()

export interface RootSummary {
  /** SHA-256. */
  readonly fingerprint: string
  readonly notAfter: Date
}

export interface TrustPage {
  readonly keys: RegistryKeys
  readonly root: RootSummary | undefined
}

/** Threat: anyone can read this page, so it shows nothing about this machine that the certificate does not show. */
export function trustPage({ keys, root }: TrustPage): Promise<string> {
  const [key] = keys
  const trust = root === undefined ? renderNothingToTrust() : renderRootSection(keys, root)
  return renderDocument({
    title: `Registry ${key}`,
    width: 'text',
    content: html`<h1>This is a container registry</h1>
      <p>
        Docker, podman and other clients use the name <code>${key}</code>. Browsers do not show the images.
        Trust the certificate once, log in with a client, then push and pull.
      </p>
      ${trust}
      <h2>Log in, push and pull</h2>
      <p>The operator of this registry gives you a user name and a password.</p>
      <pre tabindex="0">
docker login ${key}
docker tag IMAGE ${key}/IMAGE
docker push ${key}/IMAGE</pre>
      <p>
        Write the name in the same way everywhere: clients treat <code>HOST</code> and
        <code>HOST:443</code> as different registries.
      </p>`,
  })
}

function renderNothingToTrust(): Html {
  return html`<h2>Nothing to trust</h2>
    <p>
      The certificate of this registry was issued elsewhere. Clients trust public CAs by default. If your
      client reports <code>certificate signed by unknown authority</code>, ask the operator of this registry
      for the root certificate.
    </p>`
}

const COMMON_CLIENTS = ['docker', 'podman', 'containerd', 'macos', 'windows']

const TITLES: Readonly<Record<string, string>> = {
  docker: 'Docker on Linux',
  podman: 'podman, skopeo, buildah',
  macos: 'macOS, Docker Desktop',
  windows: 'Windows, Docker Desktop',
}

function renderRootSection(keys: RegistryKeys, { fingerprint, notAfter }: RootSummary): Html {
  const subject = { keys, file: FETCHED_FILE, machine: { platform: 'linux', isRoot: false } } as const
  const clients = trustClients(subject).filter(({ client }) => COMMON_CLIENTS.includes(client))
  return html`<h2>Trust its root certificate, once</h2>
    <p><a href="/-/ca.crt" download="${FETCHED_FILE}">Download it</a>, or fetch it with these commands:</p>
    <pre tabindex="0">${fetchCommands(keys[0]).join('\n')}</pre>
    <p>It is valid until ${notAfter.toISOString().slice(0, 10)}. Its SHA-256 fingerprint is:</p>
    <pre class="wrapped">${fingerprint}</pre>
    <p class="care">
      Until you trust it, an attacker on the network could change both this page and the certificate. Ask the
      operator of this registry for the fingerprint and compare. The log of the sidecar has it, and
      <code>registry-sidecar trust</code> prints it.
    </p>
    ${clients.map(renderClient)}
    <p class="soft">
      For other containerd clients, buildkit, kaniko, crane, oras, helm and Kubernetes nodes, see
      <code>registry-sidecar trust</code>.
    </p>`
}

function renderClient({ client, commands, note }: ClientTrust): Html {
  return html`<h3>${TITLES[client] ?? client}</h3>
    <p class="soft">${note}</p>
    <pre tabindex="0">${commands.join('\n')}</pre>`
}
