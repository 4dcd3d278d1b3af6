// Clients that no package offers here, as small programs that do what their sources do.

import { describe, expect, it } from 'vitest'
import { accessScene, loginOf, type AccessScene } from '../fixtures/access-scene.ts'
import { buildkit } from '../fixtures/clients/buildkit.ts'
import { kubelet } from '../fixtures/clients/containerd.ts'
import { dockerd } from '../fixtures/clients/dockerd.ts'
import { goContainerRegistry } from '../fixtures/clients/go-containerregistry.ts'
import { jib } from '../fixtures/clients/jib.ts'
import { oras } from '../fixtures/clients/oras.ts'
import { regclient } from '../fixtures/clients/regclient.ts'
import type { ClientOptions, Login, RegistryClient } from '../fixtures/clients/registry-client.ts'
import { createAuthority } from '../fixtures/own-certificate.ts'

const RULES = `rules:
  - {who: anonymous, repositories: ["public/**"], allow: [pull]}
  - {who: dev, repositories: ["team/**"], allow: [pull, push]}
`
const REFUSED = /\b40[13]\b|credential|authorization failed/i

/** `buildx` trusts the roots of its system, and the private root is none of them. */
const SYSTEM_ROOTS = createAuthority().rootPem

const CLIENTS: readonly (readonly [name: string, create: (options: ClientOptions) => RegistryClient])[] = [
  ['dockerd', dockerd],
  ['a kubelet with containerd', kubelet],
  ['BuildKit', (options) => buildkit({ ...options, tokenRoots: SYSTEM_ROOTS })],
  ['go-containerregistry', goContainerRegistry],
  ['oras', oras],
  ['regclient', regclient],
  ['Jib', jib],
]
const MODES = ['auto', 'basic', 'bearer'] as const

const loginAs = (text: string): Login => {
  const [username = '', password = ''] = text.split(':')
  return { username, password }
}
const DEV = loginAs(loginOf('dev'))
const WRONG = { username: 'dev', password: 'an outdated secret' }

const scene = (env: Readonly<Record<string, string>> = {}): Promise<AccessScene> =>
  accessScene(['dev'], RULES, env)

describe.each(CLIENTS)('%s', (name, create) => {
  it('pulls what is public without a login, and is refused the rest', async () => {
    const { sidecar } = await scene()
    const client = create({ sidecar })
    await client.pull('public/app')
    await expect(client.pull('team/app')).rejects.toThrow(REFUSED)
    await expect(client.push('public/app')).rejects.toThrow(REFUSED)
    await client.pull('public/app')
  })

  it('pulls, pushes and mounts with a login, also what is public', async () => {
    const { sidecar, forwarded } = await scene()
    const client = create({ sidecar, login: DEV })
    await client.pull('public/app')
    await client.pull('team/app')
    await client.push('team/app')
    await client.mount('team/app', 'public/base')
    await client.mount('team/app', 'secret/base')
    await expect(client.pull('secret/app')).rejects.toThrow(REFUSED)
    await expect(client.push('public/app')).rejects.toThrow(REFUSED)
    const mounts = forwarded().filter((line) => line.includes('mount='))
    expect(mounts).toEqual([expect.stringContaining('from=public/base')])
  })

  it('is refused with a wrong password', async () => {
    const { sidecar } = await scene()
    await expect(create({ sidecar, login: WRONG }).pull('team/app')).rejects.toThrow(REFUSED)
  })

  it('fails one login when it asks for a token with a wrong password, in one way or in two', async () => {
    const { sidecar } = await scene({ SIDECAR_CHALLENGE: 'bearer' })
    const client = (name === 'BuildKit' ? buildkit : create)({ sidecar, login: WRONG })
    await expect(client.pull('team/app')).rejects.toThrow('401')
    const refused = sidecar.lines.filter(({ msg }) => msg === 'login refused')
    expect(refused).toHaveLength(1)
  })

  // With "bearer", BuildKit must trust the root on its own machine: the reason for "auto".
  it.each(MODES.filter((mode) => mode !== 'bearer' || name !== 'BuildKit'))(
    'works with a login under SIDECAR_CHALLENGE=%s',
    async (mode) => {
      const { sidecar } = await scene({ SIDECAR_CHALLENGE: mode })
      const client = create({ sidecar, login: DEV })
      await client.push('team/app')
      await client.pull('team/app')
      await client.mount('team/app', 'secret/base')
    },
  )
})

it('BuildKit fails under SIDECAR_CHALLENGE=bearer if its machine does not trust the root, and works if it does', async () => {
  const { sidecar } = await scene({ SIDECAR_CHALLENGE: 'bearer' })
  const distrusting = buildkit({ sidecar, login: DEV, tokenRoots: SYSTEM_ROOTS })
  await expect(distrusting.pull('team/app')).rejects.toThrow(/certificate/)
  await buildkit({ sidecar, login: DEV }).pull('team/app')
})

describe('docker login', () => {
  it.each(MODES)('accepts the right password and no other under SIDECAR_CHALLENGE=%s', async (mode) => {
    const { sidecar } = await scene({ SIDECAR_CHALLENGE: mode })
    await dockerd({ sidecar, login: DEV }).login()
    await expect(dockerd({ sidecar, login: WRONG }).login()).rejects.toThrow('401')
  })
})

describe('an outdated pull secret', () => {
  it('harms no public image for containerd, which sends it only if asked', async () => {
    const { sidecar } = await scene()
    await kubelet({ sidecar, login: WRONG }).pull('public/app')
  })

  it('harms public images for clients that look at the ping, as with every registry', async () => {
    const { sidecar } = await scene()
    for (const create of [dockerd, goContainerRegistry])
      await expect(create({ sidecar, login: WRONG }).pull('public/app')).rejects.toThrow('401')
  })
})
