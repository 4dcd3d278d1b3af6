// Clients that no package offers here, as small programs that do what their sources do.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loginOf, startAccessScene, type AccessScene } from '../fixtures/access-scene.ts'
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
/** The throttle counts a password that repeats once, so each test has its own. */
let wrongPasswords = 0
const wrongLogin = (): Login => ({ username: 'dev', password: `outdated secret ${(wrongPasswords += 1)}` })

type Mode = (typeof MODES)[number]
const scenes = new Map<Mode, AccessScene>()
beforeAll(async () => {
  await Promise.all(
    MODES.map(async (mode) => {
      const env = { SIDECAR_CHALLENGE: mode, SIDECAR_THROTTLE: '1000/1h' }
      scenes.set(mode, await startAccessScene(['dev'], RULES, env))
    }),
  )
})
afterAll(() => Promise.all([...scenes.values()].map((scene) => scene.stop())))

/** `auto` is the default. All tests of a mode share its sidecar. */
function sceneOf(mode: Mode = 'auto'): AccessScene {
  const scene = scenes.get(mode)
  if (scene === undefined) throw new Error(`no sidecar with ${mode}`)
  return scene
}

describe.each(CLIENTS)('%s', (name, create) => {
  it('pulls what is public without a login, and is refused the rest', async () => {
    const { sidecar } = sceneOf()
    const client = create({ sidecar })
    await client.pull('public/app')
    await expect(client.pull('team/app')).rejects.toThrow(REFUSED)
    await expect(client.push('public/app')).rejects.toThrow(REFUSED)
    await client.pull('public/app')
  })

  it('pulls, pushes and mounts with a login, also what is public', async () => {
    const { sidecar, forwarded } = sceneOf()
    const mounts = () => forwarded().filter((line) => line.includes('mount='))
    const before = mounts().length
    const client = create({ sidecar, login: DEV })
    await client.pull('public/app')
    await client.pull('team/app')
    await client.push('team/app')
    await client.mount('team/app', 'public/base')
    await client.mount('team/app', 'secret/base')
    await expect(client.pull('secret/app')).rejects.toThrow(REFUSED)
    await expect(client.push('public/app')).rejects.toThrow(REFUSED)
    // Not only the newest line, because lines are in the order of their connections.
    expect(mounts()).toEqual(Array(before + 1).fill(expect.stringContaining('from=public/base')))
  })

  it('is refused with a wrong password', async () => {
    const { sidecar } = sceneOf()
    await expect(create({ sidecar, login: wrongLogin() }).pull('team/app')).rejects.toThrow(REFUSED)
  })

  it('fails one login when it asks for a token with a wrong password, in one way or in two', async () => {
    const { sidecar } = sceneOf('bearer')
    const before = sidecar.lines.length
    const client = (name === 'BuildKit' ? buildkit : create)({ sidecar, login: wrongLogin() })
    await expect(client.pull('team/app')).rejects.toThrow('401')
    const refused = sidecar.lines.slice(before).filter(({ msg }) => msg === 'login refused')
    expect(refused).toHaveLength(1)
  })

  // With "bearer", BuildKit must trust the root on its own machine: the reason for "auto".
  // The tests above use "auto".
  it.each(name === 'BuildKit' ? (['basic'] as const) : (['basic', 'bearer'] as const))(
    'works with a login under SIDECAR_CHALLENGE=%s',
    async (mode) => {
      const { sidecar } = sceneOf(mode)
      const client = create({ sidecar, login: DEV })
      await client.push('team/app')
      await client.pull('team/app')
      await client.mount('team/app', 'secret/base')
    },
  )
})

it('BuildKit fails under SIDECAR_CHALLENGE=bearer if its machine does not trust the root, and works if it does', async () => {
  const { sidecar } = sceneOf('bearer')
  const distrusting = buildkit({ sidecar, login: DEV, tokenRoots: SYSTEM_ROOTS })
  await expect(distrusting.pull('team/app')).rejects.toThrow(/certificate/)
  await buildkit({ sidecar, login: DEV }).pull('team/app')
})

describe('docker login', () => {
  it.each(MODES)('accepts the right password and no other under SIDECAR_CHALLENGE=%s', async (mode) => {
    const { sidecar } = sceneOf(mode)
    await dockerd({ sidecar, login: DEV }).login()
    await expect(dockerd({ sidecar, login: wrongLogin() }).login()).rejects.toThrow('401')
  })
})

describe('an outdated pull secret', () => {
  it('harms no public image for containerd, which sends it only if asked', async () => {
    const { sidecar } = sceneOf()
    await kubelet({ sidecar, login: wrongLogin() }).pull('public/app')
  })

  it('harms public images for clients that look at the ping, as with every registry', async () => {
    const { sidecar } = sceneOf()
    for (const create of [dockerd, goContainerRegistry])
      await expect(create({ sidecar, login: wrongLogin() }).pull('public/app')).rejects.toThrow('401')
  })
})
