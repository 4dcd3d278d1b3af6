import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { chmod, chown, lstat, mkdir, readlink, stat, symlink } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { addEntry, assertAddable, changeEntry, removeEntry } from '../../src/users/users-file.ts'
import { CommandError, InvalidFileError } from '../../src/errors/errors.ts'
import { compileModule, type CompiledModule } from '../fixtures/compiled-module.ts'
import { isStress } from '../fixtures/repetitions.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const DIGEST = 'abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234'
const OLD = `$2y$05$${DIGEST}`
const NEW = `$2y$10$${DIGEST}`
const NOBODY = 65_534
const NOW = Date.parse('2026-01-31T12:00:00.000Z')

const isRoot = process.getuid?.() === 0
const canMount = spawnSync('unshare', ['-m', 'true']).status === 0

const alice = { username: 'alice', hash: NEW }

let compiled: CompiledModule

beforeAll(() => {
  compiled = compileModule('src/users/users-file.ts')
})

afterAll(() => {
  compiled.remove()
})

function usersFile(content: string | Buffer, onFinished = onTestFinished): string {
  const file = path.join(tempFolder(onFinished), 'htpasswd')
  writeFileSync(file, content)
  return file
}

async function failureOf(action: Promise<unknown>): Promise<Error> {
  const outcome = await action.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (outcome instanceof CommandError || outcome instanceof InvalidFileError) return outcome
  throw new Error('the edit did not reject with an error for the operator', { cause: outcome })
}

describe('an edit changes one line and no other byte', () => {
  type Edit = (file: string) => Promise<unknown>
  const add: Edit = (file) => addEntry(file, alice, NOW)
  const change: Edit = (file) => changeEntry(file, alice, NOW)
  const remove: Edit = (file) => removeEntry(file, 'alice', NOW)

  it.each<[what: string, edit: Edit, before: string, after: string]>([
    ['add to an empty file', add, '', `alice:${NEW}\n`],
    ['add behind comments', add, `# team\n\nbob:${OLD}\n`, `# team\n\nbob:${OLD}\nalice:${NEW}\n`],
    ['add behind a missing final newline', add, `bob:${OLD}`, `bob:${OLD}\nalice:${NEW}\n`],
    ['add in CRLF style', add, `bob:${OLD}\r\n`, `bob:${OLD}\r\nalice:${NEW}\r\n`],
    ['add in CRLF style without the last', add, `#\r\nbob:${OLD}`, `#\r\nbob:${OLD}\r\nalice:${NEW}\r\n`],
    ['add beside NUL bytes', add, `b:${OLD}\n\0x\0\n`, `b:${OLD}\n\0x\0\nalice:${NEW}\n`],
    ['add behind NUL bytes without a newline', add, `b:${OLD}\n\0`, `b:${OLD}\n\0\nalice:${NEW}\n`],
    ['change beside NUL bytes', change, `\0\nalice:${OLD}\n`, `\0\nalice:${NEW}\n`],
    ['remove beside NUL bytes', remove, `\0\nalice:${OLD}\nb:${OLD}`, `\0\nb:${OLD}`],
    ['remove behind bytes like the beginning of UTF-16', remove, `a\0b\0\nalice:${OLD}\nb:${OLD}`, `a\0b\0\nb:${OLD}`],
    ['add behind a byte order mark', add, '\ufeff', `\ufeffalice:${NEW}\n`],
    [
      'add beside similar names',
      add,
      `alice2:${OLD}\n#alice:x\n`,
      `alice2:${OLD}\n#alice:x\nalice:${NEW}\n`,
    ],
    [
      'change in the middle',
      change,
      `a:${OLD}\nalice:${OLD}\nb:${OLD}\n`,
      `a:${OLD}\nalice:${NEW}\nb:${OLD}\n`,
    ],
    ['change in CRLF style', change, `alice:${OLD}\r\nb:${OLD}\n`, `alice:${NEW}\r\nb:${OLD}\n`],
    ['change of a last line without newline', change, `b:${OLD}\nalice:${OLD}`, `b:${OLD}\nalice:${NEW}`],
    ['change behind a byte order mark', change, `\ufeffalice:${OLD}\n`, `\ufeffalice:${NEW}\n`],
    ['change of another kind of hash', change, 'alice:$apr1$x\n', `alice:${NEW}\n`],
    ['change of plain text with a colon', change, 'alice:pa:ss\n', `alice:${NEW}\n`],
    ['change of the first of two', change, `alice:${OLD}\nalice:${OLD}\n`, `alice:${NEW}\nalice:${OLD}\n`],
    ['removal', remove, `# team\nalice:${OLD}\n\nb:${OLD}`, `# team\n\nb:${OLD}`],
    ['removal of all of one name', remove, `alice:${OLD}\nb:${OLD}\nalice:$apr1$x\n`, `b:${OLD}\n`],
    ['removal behind a byte order mark', remove, `\ufeffalice:${OLD}\nb:${OLD}\n`, `\ufeffb:${OLD}\n`],
    ['removal of the last user', remove, `# team\nalice:${OLD}\n`, '# team\n'],
  ])('%s', async (_what, edit, before, after) => {
    const file = usersFile(before)
    await edit(file)
    expect(readFileSync(file, 'utf8')).toBe(after)
    expect(readdirSync(path.dirname(file))).toEqual(['htpasswd'])
  })

  it('not even a byte that is not UTF-8', async () => {
    const latin1 = Buffer.from(`# f\xfcr alle\n\xa0:x\nb:${OLD}\n`, 'latin1')
    const file = usersFile(latin1)
    await addEntry(file, { username: 'zoë', hash: NEW }, NOW)
    expect(readFileSync(file)).toEqual(Buffer.concat([latin1, Buffer.from(`zoë:${NEW}\n`)]))
    expect((await failureOf(assertAddable(file, 'zoë', NOW))).message).toContain('zoë exists')
    await removeEntry(file, 'zoë', NOW)
    expect(readFileSync(file)).toEqual(latin1)
  })

  it('and keeps mode and owner', async () => {
    const file = usersFile(`b:${OLD}\n`)
    await chmod(file, 0o640)
    if (isRoot) await chown(file, NOBODY, 12_345)
    const { uid, gid } = await stat(file)
    await addEntry(file, alice, NOW)
    const after = await stat(file)
    expect([after.mode & 0o7777, after.uid, after.gid]).toEqual([0o640, uid, gid])
  })
})

describe('a missing file', () => {
  it('is created with its folder, readable for a sidecar with another uid', async () => {
    const file = path.join(tempFolder(), 'users', 'htpasswd')
    await addEntry(file, alice, NOW)
    expect(readFileSync(file, 'utf8')).toBe(`alice:${NEW}\n`)
    const ordinary = path.join(path.dirname(file), 'ordinary')
    writeFileSync(ordinary, '', { mode: 0o644 })
    expect((await stat(file)).mode).toBe((await stat(ordinary)).mode)
  })

  it('is not created by a change or a removal', async () => {
    const file = path.join(tempFolder(), 'users', 'htpasswd')
    expect((await failureOf(changeEntry(file, alice, NOW))).message).toContain('user add')
    expect((await failureOf(removeEntry(file, 'alice', NOW))).message).toContain('user add')
    expect(existsSync(path.dirname(file))).toBe(false)
  })
})

describe('a symlink stays a symlink, and its target is edited', () => {
  it.each<[what: string, link: string, target: string]>([
    ['in the same folder', 'htpasswd', 'real'],
    ['in another folder', 'htpasswd', '../other/real'],
  ])('%s', async (_what, link, target) => {
    const folder = tempFolder()
    await mkdir(path.join(folder, 'users'))
    await mkdir(path.join(folder, 'other'))
    const file = path.join(folder, 'users', link)
    await symlink(target, file)
    await addEntry(file, alice, NOW)
    await changeEntry(file, { username: 'alice', hash: OLD }, NOW)
    expect((await lstat(file)).isSymbolicLink()).toBe(true)
    expect(await readlink(file)).toBe(target)
    expect(readFileSync(path.join(folder, 'users', target), 'utf8')).toBe(`alice:${OLD}\n`)
  })
})

describe('an edit is refused and changes nothing when', () => {
  it.each<[what: string, before: string | Buffer, edit: (file: string) => Promise<unknown>, message: RegExp]>([
    [
      'the user to add exists',
      `alice:${OLD}\n`,
      (file) => addEntry(file, alice, NOW),
      /alice exists .*user passwd/,
    ],
    [
      'the user to add exists with another kind of hash',
      'alice:hunter2\n',
      (file) => addEntry(file, alice, NOW),
      /alice exists/,
    ],
    [
      'the user to change is unknown',
      `b:${OLD}\n`,
      (file) => changeEntry(file, alice, NOW),
      /no alice .*user add/,
    ],
    ['the user to remove is unknown', `b:${OLD}\n`, (file) => removeEntry(file, 'alice', NOW), /no alice/],
    ['the file is binary', 'b\0\n', (file) => addEntry(file, alice, NOW), /line 1: the line holds NUL bytes/],
    [
      'the file is UTF-16',
      Buffer.from('alice:x', 'utf16le'),
      (file) => addEntry(file, alice, NOW),
      /save it as UTF-8/,
    ],
    [
      'the removed user would stay in force',
      `alice:${OLD}\nb:hunter2\n`,
      (file) => removeEntry(file, 'alice', NOW),
      /without a usable entry.*keep the present users/,
    ],
    [
      'only NUL bytes would remain',
      `alice:${OLD}\n\0\n`,
      (file) => removeEntry(file, 'alice', NOW),
      /without a usable entry.*keep the present users/,
    ],
  ])('%s', async (_what, before, edit, message) => {
    const file = usersFile(before)
    const error = await failureOf(edit(file))
    expect(error.message).toMatch(message)
    expect(error.message).not.toMatch(/hunter2|\$2y\$/)
    expect(readFileSync(file)).toEqual(Buffer.from(before))
    expect(readdirSync(path.dirname(file))).toEqual(['htpasswd'])
  })

  it('the path is a folder, as docker creates for a missing file', async () => {
    const folder = path.join(tempFolder(), 'htpasswd')
    await mkdir(folder)
    expect((await failureOf(addEntry(folder, alice, NOW))).message).toMatch(
      /a folder, not a file; docker .*mount the folder/,
    )
  })

  it('a part of the path is a file', async () => {
    const file = path.join(usersFile('# a file\n'), 'htpasswd')
    expect((await failureOf(assertAddable(file, 'alice', NOW))).message).toMatch(
      /a part of this path is a file/,
    )
    expect((await failureOf(addEntry(file, alice, NOW))).message).toContain(file)
  })
})

interface ChildOptions {
  readonly uid?: number
  /** Shell commands that run before, in a new mount namespace. */
  readonly mounts?: string
}

/** Starts a process that runs `code` when its standard input ends. `finish` resolves to its output. */
function startChild(code: string, { uid, mounts }: ChildOptions = {}) {
  const module = `
    import { readFileSync } from 'node:fs'
    import { addEntry, changeEntry, removeEntry } from '${compiled.file}'
    readFileSync(0)
    ${code}`
  const node = [process.execPath, '--input-type=module', '--eval', module]
  const [command = '', ...args] =
    mounts === undefined ? node : ['unshare', '-m', 'sh', '-c', `set -e; ${mounts}; exec "$@"`, 'sh', ...node]
  const ids = uid === undefined ? {} : { uid, gid: uid }
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...ids })
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return {
    async finish(): Promise<string> {
      child.stdin.end()
      const [stdout, stderr] = await ended
      if (child.exitCode !== 0) throw new Error(`the child ended with ${String(child.exitCode)}: ${stderr}`)
      return stdout
    },
  }
}

/** Code that prints the message of the failed edit, and whether that process sees a changed file. */
function editing(file: string): string {
  return `
    const before = readFileSync('${file}', 'latin1')
    await addEntry('${file}', { username: 'alice', hash: '${NEW}' }, ${NOW}).catch((error) => console.log(error.message))
    console.log(readFileSync('${file}', 'latin1') === before ? 'unchanged' : 'changed')`
}

describe('a check before a person types a password reports the same problems as the edit', () => {
  it.each<[what: string, content: string | Buffer, message: RegExp]>([
    ['a user who exists', `alice:${OLD}\n`, /alice exists/],
    ['a binary file', 'b\0', /line 1: the line holds NUL bytes/],
  ])('%s', async (_what, content, message) => {
    const file = usersFile(content)
    expect((await failureOf(assertAddable(file, 'alice', NOW))).message).toMatch(message)
    expect(readFileSync(file)).toEqual(Buffer.from(content))
  })

  it('no problem for a missing file, which is not created', async () => {
    const file = path.join(tempFolder(), 'users', 'htpasswd')
    await assertAddable(file, 'alice', NOW)
    expect(existsSync(path.dirname(file))).toBe(false)
  })
})

// Concurrent, because each test waits for a process.
describe.concurrent('an error of the operating system is reported with its fix, and the file stays whole', () => {
  it.skipIf(!isRoot)('a folder of another user', async ({ onTestFinished: onFinished }) => {
    const file = usersFile(`b:${OLD}\n`, onFinished)
    await chmod(path.dirname(file), 0o755)
    const output = await startChild(editing(file), { uid: NOBODY }).finish()
    expect(output).toMatch(
      /permission denied; .*docker compose exec -u "\$\(id -u\):\$\(id -g\)".*\nunchanged\n$/,
    )
  })

  it.skipIf(!isRoot)('a file of another user, whose owner would change', async ({ onTestFinished: onFinished }) => {
    const file = usersFile(`b:${OLD}\n`, onFinished)
    await chmod(path.dirname(file), 0o777)
    const output = await startChild(editing(file), { uid: NOBODY }).finish()
    expect(output).toMatch(/belongs to 0:0, .*docker compose exec -u 0:0.*\nunchanged\n$/)
    expect(readdirSync(path.dirname(file))).toEqual(['htpasswd'])
  })

  it.skipIf(!isRoot)('a folder that cannot be created', async ({ onTestFinished: onFinished }) => {
    const file = path.join(tempFolder(onFinished), 'users', 'htpasswd')
    await chmod(path.dirname(path.dirname(file)), 0o755)
    const output = await startChild(
      `
      await addEntry('${file}', { username: 'alice', hash: '${NEW}' }, ${NOW}).catch((error) => console.log(error.message))
    `,
      { uid: NOBODY },
    ).finish()
    expect(output).toMatch(/htpasswd: permission denied; run this as the user the folder belongs to/)
    expect(existsSync(path.dirname(file))).toBe(false)
  })

  it.skipIf(!isRoot)('a file that nobody may write to', async ({ onTestFinished: onFinished }) => {
    const file = usersFile(`b:${OLD}\n`, onFinished)
    await chmod(file, 0o444)
    await chown(file, NOBODY, NOBODY)
    await chown(path.dirname(file), NOBODY, NOBODY)
    const output = await startChild(editing(file), { uid: NOBODY }).finish()
    expect(output).toBe(`${file} is read-only; if it is to be edited: chmod u+w ${file}\nunchanged\n`)
    expect(readdirSync(path.dirname(file))).toEqual(['htpasswd'])
  })

  it.skipIf(!canMount)('a full disk', async ({ onTestFinished: onFinished }) => {
    const folder = tempFolder(onFinished)
    const file = path.join(folder, 'htpasswd')
    // 24 KiB are enough for the file and half of its successor, so the write is short before it fails.
    const lines = `b:${OLD}\n`.repeat(200)
    const source = path.join(tempFolder(onFinished), 'source')
    writeFileSync(source, lines)
    const mounts = `mount -t tmpfs -o size=24k none ${folder}; cp ${source} ${file}`
    expect(lines.length).toBeGreaterThan(12 * 1024)
    expect(await startChild(editing(file), { mounts }).finish()).toMatch(/the disk is full; .*\nunchanged\n$/)
  })

  it.skipIf(!canMount)('a folder mounted read-only', async ({ onTestFinished: onFinished }) => {
    const file = usersFile(`b:${OLD}\n`, onFinished)
    const folder = path.dirname(file)
    const mounts = `mount --bind ${folder} ${folder}; mount -o remount,ro,bind ${folder}`
    expect(await startChild(editing(file), { mounts }).finish()).toMatch(
      /mounted read-only; .*\nunchanged\n$/,
    )
  })

  it.skipIf(!canMount)('a file that is mounted as a single file', async ({ onTestFinished: onFinished }) => {
    const file = usersFile(`b:${OLD}\n`, onFinished)
    const mounts = `mount --bind ${file} ${file}`
    const output = await startChild(editing(file), { mounts }).finish()
    expect(output).toMatch(/mounted as a single file.*mount the folder.*\nunchanged\n$/)
    expect(readdirSync(path.dirname(file))).toEqual(['htpasswd'])
  })
})

describe.concurrent('several processes that edit at once', () => {
  const CHILDREN = 4
  const EDITS = 12
  const adding = (file: string, child: number): string => `
    for (let i = 0; i < ${EDITS}; i++) await addEntry('${file}', { username: \`user${child}-\${i}\`, hash: '${NEW}' }, ${NOW})
    await removeEntry('${file}', 'old${child}', ${NOW})`

  async function race(file: string): Promise<void> {
    const children = Array.from({ length: CHILDREN }, (_, child) => startChild(adding(file, child)))
    await Promise.all(children.map((child) => child.finish()))
  }

  function expectNothingLost(file: string): void {
    const names = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split(':')[0])
    const added = Array.from(
      { length: CHILDREN * EDITS },
      (_, i) => `user${i % CHILDREN}-${Math.floor(i / CHILDREN)}`,
    )
    expect(names.toSorted()).toEqual(['# the team', 'bob', ...added].toSorted())
    expect(readdirSync(path.dirname(file))).toEqual(['htpasswd'])
  }

  const start = [
    '# the team',
    `bob:${OLD}`,
    ...Array.from({ length: CHILDREN }, (_, i) => `old${i}:${OLD}`),
  ].join('\n')

  it('lose nothing', async ({ onTestFinished: onFinished }) => {
    const file = usersFile(start, onFinished)
    await race(file)
    expectNothingLost(file)
  }, 60_000)

  const LEFT = [
    ['its lock', ['lock']],
    ['its lock and a next lock', ['lock', 'lock.next']],
  ] as const

  it.for(isStress ? LEFT : [LEFT[1]])('lose nothing when a crashed run left %s', { timeout: 60_000 }, async ([, left], { onTestFinished: onFinished }) => {
    const file = usersFile(start, onFinished)
    for (const name of left) writeFileSync(`${file}.${name}`, 'left behind')
    await race(file)
    expectNothingLost(file)
  })

  it('never show a reader an incomplete file', async ({ onTestFinished: onFinished }) => {
    const file = usersFile(start, onFinished)
    const reading = new AbortController()
    const seen = new Set<string>()
    const reader = (async () => {
      while (!reading.signal.aborted) {
        seen.add(readFileSync(file, 'utf8').slice(-1))
        await sleep(1)
      }
    })()
    for (let i = 0; i < 50; i++) await addEntry(file, { username: `user${i}`, hash: NEW }, NOW)
    reading.abort()
    await reader
    expect([...seen].filter((end) => end !== '\n' && end !== '4')).toEqual([])
  })
})
