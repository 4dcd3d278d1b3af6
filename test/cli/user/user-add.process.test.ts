// Runs `user add` on a real terminal, and htpasswd on its result.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { expect, it, onTestFinished } from 'vitest'
import compare from '../../../src/auth/bcrypt.ts'
import { parseHtpasswd } from '../../../src/users/htpasswd.ts'
import { addUser } from '../../../src/cli/user/user.ts'
import type { PasswordRequest } from '../../../src/cli/user/user-request.ts'
import { findProgram } from '../../fixtures/find-program.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')
const PASSWORD = 'correct horse'

function request(): PasswordRequest {
  const file = path.join(tempFolder(), 'users', 'htpasswd')
  return { file, name: 'alice', generate: false, cost: 4, json: false }
}

const htpasswd = findProgram('htpasswd')

it.skipIf(htpasswd === undefined)('Apache’s htpasswd verifies an entry of user add', async () => {
  const made = request()
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  stdin.end('pässwörd€')
  await addUser(made, { env: {}, stdin, stdout, stderr, onSignal: () => () => undefined })
  const verify = (password: string) => spawnSync(htpasswd ?? '', ['-vb', made.file, 'alice', password]).status
  expect(verify('pässwörd€')).toBe(0)
  expect(verify('wrong')).toBe(3)
})

const script = findProgram('script')

it.skipIf(script === undefined)('a real terminal does not echo the password', async () => {
  const made = request()
  const module = `
    import { addUser } from '${ROOT}/src/cli/user/user.ts'
    const { stdin, stdout, stderr } = process
    const world = { env: {}, stdin, stdout, stderr, onSignal: () => () => {} }
    process.exitCode = await addUser(JSON.parse(process.env.REQUEST), world)`
  const command = 'exec "$NODE" --import tsx --input-type=module --eval "$MODULE"'
  const env = { ...process.env, NODE: process.execPath, MODULE: module, REQUEST: JSON.stringify(made) }
  const child = spawn(script ?? '', ['-qec', command, '/dev/null'], { cwd: ROOT, env })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const ended = once(child, 'close')
  let screen = ''
  child.stdout.on('data', (chunk: Buffer) => (screen += chunk.toString()))
  for (const prompt of ['New password for alice: ', 'The same again: ']) {
    await until(() => screen.includes(prompt), { deadlineMs: 20_000, what: prompt })
    child.stdin.write(`${PASSWORD}\r`)
  }
  // The process may exit before all its output has been read.
  expect(await ended).toEqual([0, null])
  expect(screen).toContain(`added alice to ${made.file}`)
  expect(screen).not.toContain(PASSWORD)
  const entry = parseHtpasswd(readFileSync(made.file), made.file).entries.get('alice')
  expect(compare({ password: PASSWORD, hashes: [entry?.hash ?? ''], dummyHashes: [] })).toBe(0)
})
