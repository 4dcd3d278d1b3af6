// `/-/`: how to trust the root and log in, for a person with a browser.

import { html } from 'hono/html'
import type { ClientTrust, RegistryKeys } from '../../trust/client-trust.ts'
import { trustClients } from '../../trust/clients.ts'
import { fetchCommands, FETCHED_FILE } from '../../trust/shell-commands.ts'
import { documentOf, type Html } from './document.ts'

export interface ShownRoot {
  /** SHA-256. */
  readonly fingerprint: string
  readonly notAfter: Date
}

export interface TrustPage {
  readonly keys: RegistryKeys
  /** Undefined when the certificate was issued elsewhere and its root is not known here. */
  readonly root: ShownRoot | undefined
}

/** The page as text. Tells nothing of this machine but what its certificate tells everybody. */
export function trustPage({ keys, root }: TrustPage): Promise<string> {
  const [key] = keys
  const trust = root === undefined ? nothingToTrust() : howToTrust(keys, root)
  return documentOf(
    `Registry ${key}`,
    html`<h1>This is a container registry</h1>
      <p>
        Docker, podman and other clients call it <code>${key}</code>. There is nothing more to see in a
        browser: trust its certificate once, log in, then push and pull.
      </p>
      ${trust}
      <h2>Log in, push and pull</h2>
      <p>Whoever runs this registry gives you a user name and a password.</p>
      <pre>
docker login ${key}
docker tag IMAGE ${key}/IMAGE
docker push ${key}/IMAGE</pre>
      <p>
        Write the name in the same way everywhere: to a client <code>HOST</code> and <code>HOST:443</code> are
        different registries.
      </p>`,
  )
}

function nothingToTrust(): Html {
  return html`<h2>Nothing to trust</h2>
    <p>
      The certificate of this registry was issued elsewhere. Clients that trust its issuer, as all do with a
      public authority, need nothing. If yours says <code>certificate signed by unknown authority</code>, ask
      whoever runs this registry for the root certificate.
    </p>`
}

// These have a browser's reader most likely in front of them; the others are listed by the command.
const SHOWN = ['docker', 'podman', 'containerd', 'macos', 'windows']

const TITLES: Readonly<Record<string, string>> = {
  docker: 'Docker on Linux',
  podman: 'podman, skopeo, buildah',
  macos: 'macOS, Docker Desktop',
  windows: 'Windows, Docker Desktop',
}

function howToTrust(keys: RegistryKeys, { fingerprint, notAfter }: ShownRoot): Html {
  const subject = { keys, file: FETCHED_FILE, machine: { platform: 'linux', isRoot: false } } as const
  const clients = trustClients(subject).filter(({ client }) => SHOWN.includes(client))
  return html`<h2>Trust its root certificate, once</h2>
    <p><a href="/-/ca.crt" download="${FETCHED_FILE}">Download it</a>, or fetch it with these commands:</p>
    <pre>${fetchCommands(keys[0]).join('\n')}</pre>
    <p>Its SHA-256 fingerprint, valid until ${notAfter.toISOString().slice(0, 10)}:</p>
    <pre>${fingerprint}</pre>
    <p class="care">
      Until you trust it, somebody in between could have changed this page and the certificate alike. Compare
      the fingerprint with what whoever runs this registry tells you: it is in its log, and
      <code>registry-sidecar trust</code> prints it.
    </p>
    ${clients.map(clientSection)}
    <p class="small">
      For containerd's relatives, buildkit, kaniko, crane, oras, helm and Kubernetes nodes see
      <code>registry-sidecar trust</code>.
    </p>`
}

function clientSection({ client, commands, note }: ClientTrust): Html {
  return html`<h3>${TITLES[client] ?? client}</h3>
    <p class="small">${note}</p>
    <pre>${commands.join('\n')}</pre>`
}
