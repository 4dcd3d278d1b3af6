// Tests `user token add`, `list` and `revoke`, and what the other commands do with machine passwords.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { World } from '../../../src/app/world.ts'
import { addToken, revokeToken, type AddTokenRequest } from '../../../src/cli/user/token.ts'
import { listTokens } from '../../../src/cli/user/token-list.ts'
import { addUser, changePassword } from '../../../src/cli/user/user.ts'
import { verifyUser } from '../../../src/cli/user/user-queries.ts'
import { CommandError, ConfigError } from '../../../src/errors/errors.ts'
import { LAST_USED_FILE } from '../../../src/users/machine-passwords/last-used.ts'
import {
  createMachinePassword,
  machinePasswordDigest,
} from '../../../src/users/machine-passwords/machine-secret.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const NOW = Date.parse('2026-01-31T12:00:00.000Z')
const DAY = 86_400_000
const PASSWORD = 'correct horse'

interface TestWorld extends World {
  readonly printed: () => string
  readonly warned: () => string
}

function worldWith(input = ''): TestWorld {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const collect = (stream: PassThrough): (() => string) => {
    let all = ''
    stream.on('data', (chunk: Buffer) => (all += chunk.toString()))
    return () => all
  }
  const [printed, warned] = [collect(stdout), collect(stderr)]
  stdin.end(input)
  return { env: {}, stdin, stdout, stderr, onSignal: () => () => undefined, printed, warned }
}

async function fileWithAlice(): Promise<string> {
  const file = path.join(tempFolder(), 'users', 'htpasswd')
  await addUser({ file, name: 'alice', generate: false, cost: 4, json: false }, worldWith(PASSWORD))
  return file
}

function request(file: string, changes: Partial<AddTokenRequest> = {}): AddTokenRequest {
  const defaults = { expires: '90d', allow: 'pull,push', repositories: [], label: '', json: false }
  return { file, name: 'alice', clock: () => NOW, ...defaults, ...changes }
}

interface AddedToken {
  readonly id: string
  readonly secret: string
}

async function added(file: string, changes: Partial<AddTokenRequest> = {}): Promise<AddedToken> {
  const world = worldWith()
  await addToken(request(file, { json: true, ...changes }), world)
  return JSON.parse(world.printed()) as AddedToken
}

async function listed(file: string, changes: object = {}): Promise<string> {
  const world = worldWith()
  const stateDir = path.dirname(file)
  expect(await listTokens({ file, stateDir, json: false, clock: () => NOW, ...changes }, world)).toBe(0)
  return world.printed()
}

async function verified(file: string, password: string, now = NOW): Promise<string> {
  const world = worldWith(password)
  const code = await verifyUser({ file, name: 'alice', json: false, clock: () => now }, world)
  return `${code} ${world.printed()}`
}

describe('user token add', () => {
  it('prints the secret once and stores its digest alone', async () => {
    const file = await fileWithAlice()
    const world = worldWith()
    const choice = {
      allow: 'pull',
      repositories: ['team/**', 'base,other'],
      label: 'cluster 1',
      expires: '12h',
    }
    expect(await addToken(request(file, choice), world)).toBe(0)
    const [, id = '', secret = ''] =
      /^added machine password ([0-9a-f]{8}) for alice to .*\nallows: pull in team\/\*\*, base, other\nvalid until: 2026-02-01T00:00:00.000Z\nsecret: (rst_[\w-]{43})\n$/.exec(
        world.printed(),
      ) ?? []
    expect(world.warned()).toBe('')
    const text = readFileSync(file, 'utf8')
    expect(text).not.toContain(secret.slice(4))
    expect(text).toContain(`v1 ${id} until`)
    expect(text).toContain(machinePasswordDigest(secret))
  })

  it('prints one JSON document with --json', async () => {
    const file = await fileWithAlice()
    const world = worldWith()
    await addToken(request(file, { json: true }), world)
    expect(JSON.parse(world.printed())).toEqual({
      action: 'added',
      id: expect.stringMatching(/^[0-9a-f]{8}$/) as string,
      username: 'alice',
      file,
      label: '',
      allow: ['pull', 'push'],
      repositories: ['**'],
      validUntil: '2026-05-01T12:00:00.000Z',
      secret: expect.stringMatching(/^rst_/) as string,
    })
  })

  it.each<[what: string, changes: Partial<AddTokenRequest>, problems: readonly RegExp[]]>([
    ['too long a time', { expires: '3651d' }, [/--expires: "3651d" is too long: at most 3650d/]],
    ['no unit', { expires: '90' }, [/--expires: "90" is not a duration/]],
    ['no time', { expires: '0d' }, [/--expires/]],
    ['a time below a second', { expires: '500ms' }, [/--expires: .* too short/]],
    ['an unknown action', { allow: 'pull,admin' }, [/unknown action "admin"/]],
    ['no action', { allow: '' }, [/unknown action ""/]],
    ['a damaged pattern', { repositories: ['team**'] }, [/"team\*\*": "\*\*" must stand alone/]],
    ['a line feed in the label', { label: 'x\nroot:$2y$10$' }, [/label holds a control character/]],
    ['a long label', { label: 'x'.repeat(65) }, [/label is longer than 64/]],
    ['a line feed in the name', { name: 'alice\nbob' }, [/control character/]],
    ['three problems', { expires: 'x', allow: 'x', label: '\t' }, [/--expires/, /unknown action/, /label/]],
  ])('refuses %s', async (_what, changes, problems) => {
    const file = await fileWithAlice()
    const before = readFileSync(file)
    const failure = addToken(request(file, changes), worldWith())
    await expect(failure).rejects.toThrow(ConfigError)
    for (const problem of problems) await expect(failure).rejects.toThrow(problem)
    expect(readFileSync(file)).toEqual(before)
  })

  it('accepts ten years', async () => {
    expect(await added(await fileWithAlice(), { expires: '3650d' })).toMatchObject({
      validUntil: '2036-01-29T12:00:00.000Z',
    })
  })

  it('refuses an unknown user', async () => {
    await expect(addToken(request(await fileWithAlice(), { name: 'Alice' }), worldWith())).rejects.toThrow(
      /there is no Alice/,
    )
  })
})

describe('user token list', () => {
  it('shows everything but the secret', async () => {
    const file = await fileWithAlice()
    const used = await added(file, { label: 'cluster 1', allow: 'pull', repositories: ['team/**'] })
    const unused = await added(file)
    const text = `{"${used.id}":"2026-01-31T11:59:00.000Z"}`
    writeFileSync(path.join(path.dirname(file), LAST_USED_FILE), text)
    const printed = await listed(file)
    expect(printed.split('\n').toSorted()).toEqual(
      [
        '',
        `${used.id}  alice  "cluster 1"  pull in team/**  valid until 2026-05-01T12:00:00.000Z  last used 2026-01-31T11:59:00.000Z`,
        `${unused.id}  alice  pull, push in every repository  valid until 2026-05-01T12:00:00.000Z  last use unknown`,
      ].toSorted(),
    )
    const json = JSON.parse(await listed(file, { json: true })) as object
    expect(json).toMatchObject({ file, problems: [] })
    expect(JSON.stringify(json)).toContain(used.id)
    for (const { secret } of [used, unused]) {
      expect(printed + JSON.stringify(json)).not.toContain(secret)
      expect(printed + JSON.stringify(json)).not.toContain(machinePasswordDigest(secret))
    }
  })

  it('shows those of one user, and that there are none', async () => {
    const file = await fileWithAlice()
    await addUser({ file, name: 'bob', generate: false, cost: 4, json: false }, worldWith(PASSWORD))
    const { id } = await added(file)
    expect(await listed(file, { name: 'alice' })).toContain(id)
    expect(await listed(file, { name: 'bob' })).toBe(`no machine passwords in ${file}\n`)
    await expect(listed(file, { name: 'carol' })).rejects.toThrow(/no usable entry for carol/)
  })

  it('marks expired ones and lists damaged lines', async () => {
    const file = await fileWithAlice()
    const { id } = await added(file, { expires: '1d' })
    writeFileSync(file, '#registry-sidecar token v1 damaged\n', { flag: 'a' })
    const printed = await listed(file, { clock: () => NOW + DAY })
    expect(printed).toMatch(new RegExp(`^${id}  .*  expired at 2026-02-01T12:00:00.000Z  last use unknown\n`))
    expect(printed).toMatch(/\nskipped: line 3: this line should hold a machine password, but it is damaged/)
  })

  it('works when the file with the last use cannot be read', async () => {
    const file = await fileWithAlice()
    const { id } = await added(file)
    const world = worldWith()
    await listTokens({ file, stateDir: `${file}/none`, json: false }, world)
    expect(world.printed()).toContain(id)
    expect(world.warned()).toMatch(/the last use is unknown/)
  })
})

describe('user token revoke', () => {
  it('ends one, even one that expired long ago', async () => {
    const file = await fileWithAlice()
    const { id, secret } = await added(file)
    expect(await verified(file, secret)).toBe(
      `0 matches machine password ${id}, valid until 2026-05-01T12:00:00.000Z\n`,
    )
    const world = worldWith()
    expect(await revokeToken({ file, id, json: false }, world)).toBe(0)
    expect(world.printed()).toBe(`revoked machine password ${id} in ${file}\n`)
    expect(await verified(file, secret)).toBe('1 does not match\n')
  })

  it.each(['00000000', 'alice', createMachinePassword()])(
    'refuses an unknown id without repeating a secret',
    async (id) => {
      const failure = revokeToken({ file: await fileWithAlice(), id, json: false }, worldWith())
      await expect(failure).rejects.toThrow(CommandError)
      await expect(failure).rejects.not.toThrow(/rst_/)
    },
  )
})

describe('user passwd', () => {
  const changed = async (file: string, changes: object = {}): Promise<string> => {
    const world = worldWith('battery staple')
    await changePassword(
      { file, name: 'alice', generate: false, cost: 4, json: false, clock: () => NOW, ...changes },
      world,
    )
    return world.printed()
  }

  it('keeps machine passwords and says so, because the old password may have leaked', async () => {
    const file = await fileWithAlice()
    const { secret } = await added(file)
    expect(await changed(file)).toBe(
      `changed the password of alice in ${file}; 1 machine password stays valid, and --revoke-tokens would end them\n`,
    )
    expect(await verified(file, secret)).toMatch(/^0 /)
    await added(file)
    expect(JSON.parse(await changed(file, { json: true }))).toMatchObject({ machinePasswordsKept: 2 })
  })

  it('ends them with --revoke-tokens', async () => {
    const file = await fileWithAlice()
    const { secret } = await added(file)
    expect(await changed(file, { revokeTokens: true })).toBe(`changed the password of alice in ${file}\n`)
    expect(await verified(file, secret)).toMatch(/^1 /)
  })

  it('refuses a password of the form of a machine password', async () => {
    const world = worldWith(createMachinePassword())
    const change = { file: await fileWithAlice(), name: 'alice', generate: false, json: false }
    await expect(changePassword(change, world)).rejects.toThrow(/has the form of a machine password/)
  })
})

it('user verify says of a machine password when it expired', async () => {
  const file = await fileWithAlice()
  const { id, secret } = await added(file, { expires: '1d' })
  expect(await verified(file, secret, NOW + DAY)).toBe(
    `1 does not match; machine password ${id} expired at 2026-02-01T12:00:00.000Z\n`,
  )
})
