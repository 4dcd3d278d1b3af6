// Renders the commands that make clients trust the root, by system.

import { html } from 'hono/html'
import type { ClientTrust, RegistryKeys } from '../../client-setup/client-setup.ts'
import { trustClients } from '../../client-setup/clients.ts'
import { fetchCommands, fetchCommandsForWindows, FETCHED_FILE } from '../../client-setup/shell-commands.ts'
import type { Html } from './document.ts'
import type { System } from './visitor-system.ts'

export interface TrustGroup {
  readonly title: string
  readonly fetch: readonly string[]
  readonly clients: readonly ClientTrust[]
}

const GROUPS = [
  { title: 'Linux', system: 'linux', names: ['docker', 'podman'] },
  { title: 'macOS', system: 'macos', names: ['macos'] },
  { title: 'Windows', system: 'windows', names: ['windows'] },
  { title: 'Linux with containerd', system: 'linux', names: ['containerd'] },
] as const

const PLATFORMS = { linux: 'linux', macos: 'darwin', windows: 'win32' } as const

/** Returns the group for the visitor's system first. */
export function trustGroups(keys: RegistryKeys, own: System): readonly [TrustGroup, ...TrustGroup[]] {
  const groups = GROUPS.map(({ title, system, names }) => {
    const machine = { platform: PLATFORMS[system], isRoot: false } as const
    const clients = trustClients({ keys, file: FETCHED_FILE, machine })
    return {
      title,
      fetch: system === 'windows' ? fetchCommandsForWindows(keys[0]) : fetchCommands(keys[0]),
      clients: clients.filter(({ client }) => names.some((name) => name === client)),
    }
  })
  const first = groups.findIndex((_, index) => GROUPS[index]?.system === own)
  const [group] = groups.splice(first, 1)
  if (group === undefined) throw new Error(`no commands for ${own}`)
  return [group, ...groups]
}

export function renderTrust({ title, fetch, clients }: TrustGroup): Html {
  return html`<p>
      Fetch the certificate and print its fingerprint. Continue only if it equals the fingerprint of step 1.
    </p>
    ${renderCommands(fetch, `the commands to fetch the certificate on ${title}`)} ${clients.map(renderClient)}`
}

const TITLES: Readonly<Record<string, string>> = {
  docker: 'Docker',
  podman: 'podman, skopeo, buildah',
  macos: 'Docker Desktop',
  windows: 'Docker Desktop',
}

function renderClient({ client, commands, note }: ClientTrust): Html {
  const title = TITLES[client] ?? client
  return html`<h3>${title}</h3>
    ${renderCommands(commands, `the commands for ${title}`)}
    <ul class="soft">
      ${note.split('. ').map((sentence) => html`<li>${sentence}.</li>`)}
    </ul>`
}

/** `tabindex` lets people scroll long lines with the keyboard. */
export function renderCommands(lines: readonly string[], about: string): Html {
  return renderCopyable(html`<pre tabindex="0">${lines.join('\n')}</pre>`, about)
}

/** `about` completes the text of the button for screen readers, as in `Copy the commands for Docker`. */
export function renderCopyable(content: Html, about: string): Html {
  return html`<div class="commands">
    <button type="button" hidden>Copy<span class="unseen"> ${about}</span></button>${content}
  </div>`
}
