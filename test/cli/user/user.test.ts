import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import compare from '../../../src/auth/bcrypt.ts'
import { parseHtpasswd } from '../../../src/users/htpasswd.ts'
import { addUser, changePassword, removeUser } from '../../../src/cli/user/user.ts'
import { generatePassword } from '../../../src/cli/user/new-password.ts'
import { listUsers, verifyUser } from '../../../src/cli/user/user-queries.ts'
import type { ChangeRequest, PasswordRequest } from '../../../src/cli/user/user-request.ts'
import type { World } from '../../../src/app/world.ts'
import { CommandError, ConfigError } from '../../../src/errors/errors.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const PASSWORD = 'correct horse'

interface TestWorld extends World {
  readonly stdin: PassThrough & { isTTY?: boolean; setRawMode?(raw: boolean): unknown }
  readonly printed: () => string
  readonly prompted: () => string
}

/** A world whose standard input is a pipe with `input`. */
function piped(input: string | Buffer = ''): TestWorld {
  const world = createWorld()
  world.stdin.end(input)
  return world
}

/** A world with a terminal. Each prompt gets the next text of `typed`, in one or more chunks. */
function terminal(...typed: readonly (string | readonly string[])[]) {
  const raw: boolean[] = []
  const world = createWorld()
  world.stdin.isTTY = true
  world.stdin.setRawMode = (on: boolean) => raw.push(on)
  const waiting = [...typed]
  world.stderr.on('data', (chunk: Buffer) => {
    if (!chunk.toString().endsWith(': ')) return
    for (const part of [waiting.shift() ?? []].flat()) world.stdin.write(part)
  })
  return { ...world, raw }
}

function createWorld(): TestWorld {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const collect = (stream: PassThrough): (() => string) => {
    let all = ''
    stream.on('data', (chunk: Buffer) => (all += chunk.toString()))
    return () => all
  }
  const [printed, prompted] = [collect(stdout), collect(stderr)]
  return { env: {}, stdin, stdout, stderr, onSignal: () => () => undefined, printed, prompted }
}

function request(changes: Partial<PasswordRequest> = {}): PasswordRequest {
  const file = path.join(tempFolder(), 'users', 'htpasswd')
  return { file, name: 'alice', generate: false, cost: 4, json: false, ...changes }
}

async function requestWithAlice(changes: Partial<PasswordRequest> = {}): Promise<PasswordRequest> {
  const made = request(changes)
  await addUser(made, piped(PASSWORD))
  return made
}

function matches(file: string, name: string, password: string): boolean {
  const entry = parseHtpasswd(readFileSync(file), file).entries.get(name)
  return compare({ password, hashes: [entry?.hash ?? ''], dummyHashes: [] }) === 0
}

describe('user add reads one line of standard input', () => {
  it.each<[what: string, input: string | Buffer, password: string]>([
    ['with a newline', `${PASSWORD}\n`, PASSWORD],
    ['with CRLF', `${PASSWORD}\r\n`, PASSWORD],
    ['without a line break', PASSWORD, PASSWORD],
    ['and no second line', Buffer.from(`${PASSWORD}\n\xff second`, 'latin1'), PASSWORD],
    ['with the byte order mark of PowerShell', `\ufeff${PASSWORD}\r\n`, PASSWORD],
    ['with its blanks', ` ${PASSWORD} \n`, ` ${PASSWORD} `],
    ['of UTF-8', 'pässwörd€\n', 'pässwörd€'],
    ['of exactly 72 bytes', 'é'.repeat(36), 'é'.repeat(36)],
  ])('%s', async (_what, input, password) => {
    const made = request()
    const world = piped(input)
    expect(await addUser(made, world)).toBe(0)
    expect(matches(made.file, 'alice', password)).toBe(true)
    expect(world.printed()).toBe(`added alice to ${made.file}\n`)
    expect(world.prompted()).toBe('')
  })
})

describe('user add refuses', () => {
  it.each<[what: string, input: string | Buffer, message: RegExp]>([
    ['no input', '', /the password is empty/],
    ['an empty line', '\nsecret\n', /the password is empty/],
    ['73 bytes', 'x'.repeat(73), /longer than 72 bytes/],
    ['fewer characters but over 72 bytes', 'é'.repeat(37), /longer than 72 bytes/],
    ['a NUL', 'ab\0secret', /control character/],
    ['a tab', 'ab\tsecret', /control character/],
    ['invalid UTF-8', Buffer.from('s\xe9cret', 'latin1'), /not UTF-8/],
    ['endless input', 'secret'.repeat(10_000), /too long for a password/],
  ])('%s, and says so without the password', async (_what, input, message) => {
    const made = request()
    const failure = addUser(made, piped(input))
    await expect(failure).rejects.toThrow(CommandError)
    await expect(failure).rejects.toThrow(message)
    await expect(failure).rejects.not.toThrow(/s.?cret|xxx|éé/)
    expect(() => readFileSync(made.file)).toThrow('ENOENT')
  })

  it.each<[what: string, changes: Partial<PasswordRequest>, problems: readonly RegExp[]]>([
    ['a colon in the name', { name: 'a:b' }, [/colon/]],
    ['no name', { name: '' }, [/empty/]],
    ['the name of clients without a login', { name: 'anonymous' }, [/access rules; choose another name/]],
    ['a blank before the name', { name: ' alice' }, [/blank/]],
    ['a name that is a comment', { name: '#alice' }, [/comment/]],
    ['a line feed in the name', { name: 'alice\nbob' }, [/control character/]],
    ['a name that is too long', { name: 'é'.repeat(128) }, [/255 bytes/]],
    ['a cost that is too slow', { cost: 16 }, [/--cost .* 4 to 15/]],
    ['a cost that is too weak', { cost: 3 }, [/--cost/]],
    ['a cost that is not a number', { cost: Number.NaN }, [/--cost/]],
    ['a cost with a fraction', { cost: 10.5 }, [/--cost/]],
    ['two problems at once', { name: 'a:b', cost: 99 }, [/colon/, /--cost/]],
  ])('%s as wrong usage', async (_what, changes, problems) => {
    const failure: unknown = await addUser(request(changes), piped(PASSWORD)).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ConfigError)
    expect((failure as ConfigError).problems).toEqual(problems.map((p) => expect.stringMatching(p) as string))
  })

  it('a user who exists, before it asks for a password', async () => {
    const made = await requestWithAlice()
    const world = terminal('never\r')
    await expect(addUser(made, world)).rejects.toThrow(/alice exists .*user passwd/)
    expect(world.prompted()).toBe('')
  })
})

describe('on a terminal', () => {
  it.each<[what: string, typed: readonly (string | readonly string[])[]]>([
    ['typed twice', [`${PASSWORD}\r`, `${PASSWORD}\r`]],
    ['key by key', [Array.from(`${PASSWORD}\r`), Array.from(`${PASSWORD}\r`)]],
    ['pasted at once', [`${PASSWORD}\n${PASSWORD}\n`]],
    ['with a typo fixed by backspace', [`corrrr\x7f\x7fect horsé\x7fe\r`, `${PASSWORD}x\b\r`]],
    ['restarted with Ctrl-U', [`wrong\x15${PASSWORD}\r`, `${PASSWORD}\r`]],
  ])('the password is read without echo: %s', async (_what, typed) => {
    const made = request()
    const world = terminal(...typed)
    expect(await addUser(made, world)).toBe(0)
    expect(matches(made.file, 'alice', PASSWORD)).toBe(true)
    expect(world.prompted()).toBe('New password for alice: \nThe same again: \n')
    expect(world.raw).toEqual([true, false])
    expect(world.stdin.isPaused()).toBe(true)
  })

  it('two different passwords are refused', async () => {
    const made = request()
    await expect(addUser(made, terminal('one\r', 'two\r'))).rejects.toThrow(
      /the passwords differ; nothing was changed/,
    )
    expect(() => readFileSync(made.file)).toThrow('ENOENT')
  })

  it.each([
    ['Ctrl-C', 'sec\x03'],
    ['Ctrl-D', '\x04'],
  ])('%s aborts, and restores the terminal', async (_what, typed) => {
    const world = terminal(typed)
    await expect(addUser(request(), world)).rejects.toThrow(/aborted; nothing was changed/)
    expect(world.raw).toEqual([true, false])
  })

  it('user verify asks once', async () => {
    const made = await requestWithAlice()
    const world = terminal(`${PASSWORD}\r`)
    expect(await verifyUser(made, world)).toBe(0)
    expect(world.prompted()).toBe('Password of alice: \n')
  })
})

describe('user passwd', () => {
  it('changes the password', async () => {
    const made = await requestWithAlice()
    const world = piped('battery staple\n')
    expect(await changePassword({ ...made, cost: 5 }, world)).toBe(0)
    expect(matches(made.file, 'alice', 'battery staple')).toBe(true)
    expect(matches(made.file, 'alice', PASSWORD)).toBe(false)
    expect(parseHtpasswd(readFileSync(made.file), made.file).entries.get('alice')?.cost).toBe(5)
    expect(world.printed()).toBe(`changed the password of alice in ${made.file}\n`)
  })

  it('fixes a line that was skipped', async () => {
    const made = await requestWithAlice({ name: 'bob' })
    writeFileSync(made.file, 'alice:$apr1$x$y\n')
    await changePassword({ ...made, name: 'alice' }, piped(PASSWORD))
    expect(matches(made.file, 'alice', PASSWORD)).toBe(true)
  })

  it('refuses an unknown user before it asks for a password', async () => {
    const made = await requestWithAlice()
    const world = terminal()
    await expect(changePassword({ ...made, name: 'bob' }, world)).rejects.toThrow(
      /there is no bob .*user add/,
    )
    expect(world.prompted()).toBe('')
  })
})

describe('user passwd --keep-old', () => {
  const NOW = Date.parse('2026-01-31T12:00:00.000Z')
  const END = '2026-01-31T12:10:00.000Z'

  async function rotated(changes: Partial<ChangeRequest> = {}) {
    const made = { ...(await requestWithAlice()), clock: () => NOW, ...changes }
    const world = piped('battery staple')
    expect(await changePassword({ ...made, keepOld: '10m' }, world)).toBe(0)
    return { made, printed: world.printed() }
  }

  it('changes the password, and reports until when the old one is valid', async () => {
    const { made, printed } = await rotated()
    expect(printed).toBe(
      `changed the password of alice in ${made.file}; the old one stays valid until ${END}\n`,
    )
    expect(matches(made.file, 'alice', 'battery staple')).toBe(true)
  })

  it.each<[what: string, password: string, minutes: number, code: number, text: string]>([
    ['the new password', 'battery staple', 0, 0, 'matches\n'],
    ['the old one', PASSWORD, 9, 0, `matches an old password, valid until ${END}\n`],
    ['the old one after its time', PASSWORD, 10, 1, 'does not match\n'],
    ['the new one after that time', 'battery staple', 10, 0, 'matches\n'],
    ['the old one with a NUL and more text', `${PASSWORD}\0x`, 0, 1, 'does not match\n'],
  ])('user verify answers to %s', async (_what, password, minutes, code, text) => {
    const { made } = await rotated()
    const world = piped(password)
    expect(await verifyUser({ ...made, clock: () => NOW + minutes * 60_000 }, world)).toBe(code)
    expect(world.printed()).toBe(text)
  })

  it('user verify reads the clock after the password was typed', async () => {
    const { made } = await rotated()
    let now = NOW
    const world = terminal(`${PASSWORD}\r`)
    world.stdin.on('data', () => (now = NOW + 600_000))
    expect(await verifyUser({ ...made, clock: () => now }, world)).toBe(1)
  })

  it('user list shows the end time, and never a hash', async () => {
    const { made } = await rotated()
    const world = piped()
    await listUsers(made, world)
    expect(world.printed()).toBe(`alice  line 1, cost 4\n  old password valid until ${END}, line 2, cost 4\n`)
    const late = piped()
    await listUsers({ ...made, clock: () => NOW + 600_000 }, late)
    expect(late.printed()).toBe('alice  line 1, cost 4\n')
  })

  it('counts the time from the change, not from the prompt', async () => {
    const made = await requestWithAlice()
    let now = NOW
    const world = terminal('battery staple\r', 'battery staple\r')
    world.stdin.on('data', () => (now = NOW + 300_000))
    await changePassword({ ...made, keepOld: '10m', clock: () => now }, world)
    expect(world.printed()).toContain('valid until 2026-01-31T12:15:00.000Z')
  })

  it.each(['0', '0m', undefined])('of %s keeps no password, and revokes kept ones', async (keepOld) => {
    const { made } = await rotated()
    const world = piped('third')
    await changePassword({ ...made, keepOld }, world)
    expect(world.printed()).toBe(`changed the password of alice in ${made.file}\n`)
    expect(readFileSync(made.file, 'utf8').split('\n')).toHaveLength(2)
    expect(await verifyUser(made, piped(PASSWORD))).toBe(1)
  })

  it('refuses a hash that cannot be kept, before it asks for a password', async () => {
    const made = { ...(await requestWithAlice()), keepOld: '10m', clock: () => NOW }
    writeFileSync(made.file, 'alice:$apr1$x$y\n')
    const world = terminal()
    await expect(changePassword(made, world)).rejects.toThrow(/no usable password .*leave out --keep-old/)
    expect(world.prompted()).toBe('')
  })

  it.each(['10', 'x', '', '-1m', '25d', '30d', '1y', '10m '])(
    'refuses "%s" as wrong usage',
    async (keepOld) => {
      const made = await requestWithAlice()
      const failure: unknown = await changePassword({ ...made, keepOld }, piped()).catch(
        (error: unknown) => error,
      )
      expect(failure).toBeInstanceOf(ConfigError)
      expect((failure as ConfigError).problems).toEqual([expect.stringMatching(/^--keep-old: /) as string])
    },
  )

  it('is reported together with other problems', async () => {
    const wrong = request({ name: 'a:b', cost: 99 })
    const failure: unknown = await changePassword(
      { ...wrong, keepOld: 'x', problems: ['SIDECAR_LISTEN: no'] },
      piped(),
    ).catch((error: unknown) => error)
    expect((failure as ConfigError).problems).toEqual([
      'SIDECAR_LISTEN: no',
      'the name holds a colon',
      '--cost must be a whole number from 4 to 15',
      expect.stringMatching(/^--keep-old: "x" is not a duration/) as string,
    ])
  })

  it('answers in JSON too', async () => {
    const { made, printed } = await rotated({ json: true })
    const { file } = made
    expect(JSON.parse(printed)).toEqual({
      action: 'changed',
      username: 'alice',
      file,
      oldPasswordValidUntil: END,
    })
    const asked = piped(PASSWORD)
    await verifyUser(made, asked)
    expect(JSON.parse(asked.printed())).toEqual({
      username: 'alice',
      file,
      matches: true,
      oldPasswordValidUntil: END,
    })
    const listed = piped()
    await listUsers(made, listed)
    expect(JSON.parse(listed.printed())).toEqual({
      file,
      users: [{ username: 'alice', line: 1, cost: 4, oldPasswords: [{ line: 2, cost: 4, validUntil: END }] }],
      problems: [],
    })
  })
})

describe('--generate', () => {
  it('prints a random password once, and it matches', async () => {
    const made = request({ generate: true })
    const world = terminal()
    expect(await addUser(made, world)).toBe(0)
    const [, password = ''] = /^added alice to .*\npassword: ([A-Za-z0-9]{24})\n$/.exec(world.printed()) ?? []
    expect(matches(made.file, 'alice', password)).toBe(true)
    expect(world.prompted()).toBe('')
  })

  it('generates another password each time, with equally likely characters', async () => {
    const made = await requestWithAlice({ json: true })
    const printed = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const world = piped()
      await changePassword({ ...made, generate: true }, world)
      printed.add((JSON.parse(world.printed()) as { password: string }).password)
    }
    expect(printed.size).toBe(3)
    const all = Array.from({ length: 200 }, generatePassword).join('')
    const counts = Array.from(all).reduce<Record<string, number>>(
      (sum, c) => ({ ...sum, [c]: (sum[c] ?? 0) + 1 }),
      {},
    )
    expect(Object.keys(counts)).toHaveLength(62)
    // 77 of each on average. This finds missing characters, but not the bias of a plain modulo.
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(30)
    expect(Math.max(...Object.values(counts))).toBeLessThan(140)
  })
})

it('user remove removes the user from the file', async () => {
  const made = await requestWithAlice()
  const world = piped()
  expect(await removeUser(made, world)).toBe(0)
  expect(readFileSync(made.file, 'utf8')).toBe('')
  expect(world.printed()).toBe(`removed alice from ${made.file}\n`)
  await expect(removeUser(made, piped())).rejects.toThrow(/there is no alice/)
})

describe('user list', () => {
  it('lists users and problems by line, and never a hash', async () => {
    const made = await requestWithAlice()
    writeFileSync(made.file, `# team\n${readFileSync(made.file, 'utf8')}bob:hunter2\n`)
    const world = piped()
    expect(await listUsers(made, world)).toBe(0)
    expect(world.printed()).toMatch(/^alice {2}line 2, cost 4\nskipped: line 3: this line has plain text/)
    expect(world.printed()).not.toMatch(/\$2|hunter2/)
  })

  it('says so when there are no users', async () => {
    const made = await requestWithAlice()
    writeFileSync(made.file, '# nobody\n')
    const world = piped()
    expect(await listUsers(made, world)).toBe(0)
    expect(world.printed()).toBe(`no users in ${made.file}\n`)
  })

  it('shows how to create a missing file', async () => {
    await expect(listUsers(request(), piped())).rejects.toThrow(/does not exist; `user add NAME` creates it/)
  })
})

describe('user verify', () => {
  it.each<[what: string, password: string, code: number, text: string]>([
    ['the right password', PASSWORD, 0, 'matches\n'],
    ['a wrong password', 'wrong', 1, 'does not match\n'],
    ['the right one with a NUL and more text', `${PASSWORD}\0x`, 1, 'does not match\n'],
  ])('answers to %s', async (_what, password, code, text) => {
    const made = await requestWithAlice()
    const world = piped(`${password}\n`)
    expect(await verifyUser(made, world)).toBe(code)
    expect(world.printed()).toBe(text)
  })

  it('refuses a longer text that starts with a password of 72 bytes, as the sidecar does', async () => {
    const made = request()
    await addUser(made, piped('x'.repeat(72)))
    expect(await verifyUser(made, piped('x'.repeat(73)))).toBe(1)
  })

  it('fails for an unknown user and for an empty password', async () => {
    const made = await requestWithAlice()
    await expect(verifyUser({ ...made, name: 'bob' }, piped('x'))).rejects.toThrow(/no usable entry for bob/)
    await expect(verifyUser(made, piped(''))).rejects.toThrow(/the password is empty/)
  })
})

it('--json prints one JSON document on stdout', async () => {
  const made = request({ json: true })
  const { file } = made
  const run = async (command: (world: World) => Promise<unknown>, input = PASSWORD): Promise<unknown> => {
    const world = piped(input)
    await command(world)
    return JSON.parse(world.printed())
  }
  expect(await run((world) => addUser(made, world))).toEqual({ action: 'added', username: 'alice', file })
  expect(await run((world) => verifyUser(made, world))).toEqual({ username: 'alice', file, matches: true })
  expect(await run((world) => verifyUser(made, world), 'no')).toEqual({
    username: 'alice',
    file,
    matches: false,
  })
  expect(await run((world) => listUsers(made, world))).toEqual({
    file,
    users: [{ username: 'alice', line: 1, cost: 4, oldPasswords: [] }],
    problems: [],
  })
  expect(await run((world) => changePassword({ ...made, generate: true }, world))).toEqual({
    action: 'changed',
    username: 'alice',
    file,
    password: expect.stringMatching(/^[A-Za-z0-9]{24}$/) as string,
  })
  expect(await run((world) => removeUser(made, world))).toEqual({
    action: 'removed',
    username: 'alice',
    file,
  })
})
