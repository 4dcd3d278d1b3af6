// Whether the search at the end of a run would find a secret that was logged: see fixtures/no-secret-is-logged.ts.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { hashPassword } from '../../src/auth/bcrypt.ts'
import { createLog } from '../../src/observability/log.ts'
import { issueRoot } from '../../src/pki/issue.ts'
import {
  createMachinePassword,
  machinePasswordDigest,
} from '../../src/users/machine-passwords/machine-secret.ts'
import { findSecrets } from '../fixtures/find-secrets.ts'
import { run } from '../fixtures/process.ts'
import { isStress } from '../fixtures/repetitions.ts'
import { LOG_FILE, RUN_LOGS, SECRETS_FILE } from '../fixtures/run-logs.ts'
import { ALICE_ENTRY, sidecarForTest } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { basic } from '../fixtures/wire.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const VITEST = path.join(ROOT, 'node_modules/vitest/vitest.mjs')

/** What this worker has written to the run's folder so far. */
function written(kind: RegExp): string {
  const folder = process.env[RUN_LOGS] ?? ''
  const own = readdirSync(folder).filter(
    (name) => name.startsWith(`${process.pid}-`) || SECRETS_FILE.test(name),
  )
  return own
    .filter((name) => kind.test(name))
    .map((name) => readFileSync(path.join(folder, name), 'utf8'))
    .join('')
}

describe('the search', () => {
  it.each<[what: string, logged: string]>([
    ['a password', '{"reason":"no pass phrase"}'],
    ['a password in a line of JSON', JSON.stringify({ reason: 'say "pass" phrase' })],
    ['a bcrypt hash', `alice:${hashPassword('x', 4)}`],
    ['the hash that Apache writes', `alice:${hashPassword('x', 4).replace('$2b$', '$2y$')}`],
    ['a machine password', `{"reason":"${createMachinePassword()} is wrong"}`],
    ['the line of a machine password', `sha256 ${machinePasswordDigest('x')}`],
    ['a private key', JSON.stringify({ key: issueRoot({ now: new Date() }).keyPem })],
    ['an Authorization header', basic('a:bcdef')],
    ['one among headers', JSON.stringify(['authorization', basic('a:bcdef').replace('Authorization: ', '')])],
    ['a bearer token', 'authorization: bearer eyJhbGciOiJIUzI1NiJ9.e30'],
  ])('finds %s', (_what, logged) => {
    expect(findSecrets(`first line\n${logged}\nlast line\n`, ['pass phrase', 'say "pass"'])).toHaveLength(1)
  })

  it.each([
    'wrong password',
    'the scheme is Bearer, not Basic',
    'WWW-Authenticate: Basic realm="Registry"',
    'a bcrypt hash of cost 16, over 15 ($2y$16$)',
  ])('lets pass: %s', (logged) => {
    expect(findSecrets(logged, ['pass phrase'])).toEqual([])
  })
})

describe('searched is', () => {
  it('what any logger of this process writes, wherever to', () => {
    createLog({ level: 'info', format: 'json', destination: new PassThrough() }).info(
      { event: 'ready' },
      'json-71b4',
    )
    createLog({ level: 'info', format: 'pretty', destination: new PassThrough() }).info(
      { event: 'ready' },
      'pretty-71b4',
    )
    expect(written(LOG_FILE)).toMatch(/"json-71b4"[^]*"pretty-71b4"/)
  })

  it('what a process of its own prints, but for the password that it made on purpose', async () => {
    const [text, json] = await Promise.all([
      run(['user', 'add', 'text-71b4', '--generate', '--cost', '4'], { cwd: tempFolder() }),
      run(['user', 'add', 'json-71b4', '--generate', '--cost', '4', '--json'], { cwd: tempFolder() }),
    ])
    const wrong = await run(['user', 'verify', 'text-71b4'], { cwd: tempFolder() })
    expect(wrong.stderr).not.toBe('')
    const passwords = [/password: (.+)/.exec(text.stdout)?.[1], /"password":"(.+?)"/.exec(json.stdout)?.[1]]
    const logged = written(LOG_FILE)
    for (const part of ['added text-71b4', '"username":"json-71b4"', wrong.stderr])
      expect(logged).toContain(part)
    for (const password of passwords) {
      expect(password).toHaveLength(24)
      expect(written(SECRETS_FILE)).toContain(`"${password}"`)
      expect(logged).not.toContain(password)
    }
  })

  it('for what the fixtures were given as secrets', async () => {
    const sidecar = await sidecarForTest({ users: `${ALICE_ENTRY}bob:plain-text-71b4\n` })
    sidecar.writeUsers('alice:later-text-71b4\n')
    await sidecar.request({ as: 'eve:guessed-71b4', path: '/v2/' })
    await run(['--version'], { input: 'typed-71b4\n' })
    const keys = readdirSync(path.join(sidecar.folder, 'state')).filter((name) => name.endsWith('.key'))
    const [, key = ''] = readFileSync(path.join(sidecar.folder, 'state', keys[0] ?? ''), 'utf8').split('\n')
    await sidecar.stop()
    const login = Buffer.from('eve:guessed-71b4').toString('base64').replace(/=+$/, '')
    const secrets = [
      'plain-text-71b4',
      'later-text-71b4',
      'guessed-71b4',
      'eve:guessed-71b4',
      login,
      'typed-71b4',
      key,
    ]
    for (const secret of secrets) expect(written(SECRETS_FILE)).toContain(`${JSON.stringify(secret)}\n`)
  })
})

const FAILING = [
  'fails, though every test in it passed, when one logged a password',
  'a secret: correct horse',
  1,
] as const
// Every run of `npm test` passes too.
const PASSING = ['passes when none did', 'nothing to see', 0] as const

it.each(isStress ? [FAILING, PASSING] : [FAILING])(
  'a run of vitest %s',
  { timeout: 60_000 },
  async (_what, message, expected) => {
    const { code, output } = await runVitest(`
    import { createLog } from '${ROOT}/src/observability/log.ts'
    import { registerLogin } from '${ROOT}/test/fixtures/run-logs.ts'
    test('logs', () => {
      registerLogin('alice:correct horse')
      createLog({ level: 'info', format: 'json', destination: process.stderr }).info({ event: 'ready' }, '${message}')
    })`)
    expect(output).toMatch(/Tests +1 passed/)
    expect(output.includes('stand in what this run logged')).toBe(expected === 1)
    expect(code).toBe(expected)
  },
)

/** Runs one test file with this project's own configuration. */
async function runVitest(test: string): Promise<{ readonly code: number; readonly output: string }> {
  const folder = tempFolder()
  mkdirSync(path.join(folder, 'test'))
  writeFileSync(path.join(folder, 'test', 'planted.test.ts'), test)
  const args = [
    'run',
    '--config',
    path.join(ROOT, 'vitest.config.ts'),
    '--root',
    folder,
    '--globals',
    '--no-color',
  ]
  // What a failed run leaves for people to look at goes with the folder.
  const env = { ...process.env, TMPDIR: folder }
  const child = spawn(process.execPath, [VITEST, ...args], { cwd: ROOT, env })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, output }
}
