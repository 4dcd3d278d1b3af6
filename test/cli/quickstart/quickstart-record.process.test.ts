import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { userInfo } from 'node:os'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { keepRecord, readRecord, recordIn } from '../../../src/cli/quickstart/record.ts'
import { run } from '../../fixtures/process.ts'
import { answering, OK, upstreamForTest } from '../../fixtures/programmable-upstream.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

const { uid } = userInfo()
const SETTINGS = { upstream: 'http://127.0.0.1:41000', listen: ':9443', adminListen: 'off' }

async function keep(folder: string, settings = SETTINGS): Promise<() => Promise<void>> {
  const record = await keepRecord(folder, settings)
  let isKept = true
  const remove = async () => {
    if (isKept) await record.remove()
    isKept = false
  }
  onTestFinished(remove)
  return remove
}

function writeRecord(folder: string, content: string | Readonly<Record<string, unknown>>): string {
  mkdirSync(folder, { recursive: true })
  const file = recordIn(folder)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 })
  return file
}

describe('the record of a quickstart', () => {
  it('is read as written, private, and removed at the end', async () => {
    const folder = path.join(tempFolder(), 'state')
    const remove = await keep(folder)
    expect(await readRecord(folder, uid)).toEqual({ kind: 'found', settings: SETTINGS })
    expect(statSync(recordIn(folder)).mode & 0o777).toBe(0o600)
    await remove()
    expect(await readRecord(folder, uid)).toEqual({ kind: 'none' })
    // The folder was created for the record.
    expect(existsSync(folder)).toBe(false)
  })

  it('is kept when another quickstart has replaced it', async () => {
    const folder = tempFolder()
    const removeFirst = await keep(folder)
    await keep(folder, { ...SETTINGS, listen: ':9444' })
    await removeFirst()
    expect(await readRecord(folder, uid)).toMatchObject({ settings: { listen: ':9444' } })
  })

  it('counts only while it is kept fresh', async () => {
    const folder = tempFolder()
    await keep(folder)
    const long = new Date(Date.now() - 60_000)
    utimesSync(recordIn(folder), long, long)
    const isFresh = async () => (await readRecord(folder, uid)).kind === 'found'
    await until(isFresh, { deadlineMs: 10_000, what: 'a fresh record' })

    const left = tempFolder()
    const file = writeRecord(left, { SIDECAR_UPSTREAM: 'http://127.0.0.1:41000' })
    expect((await readRecord(left, uid)).kind).toBe('found')
    for (const ageMs of [60_000, -60_000]) {
      utimesSync(file, new Date(Date.now() - ageMs), new Date(Date.now() - ageMs))
      expect(await readRecord(left, uid)).toEqual({ kind: 'none' })
    }
  })

  it.each([
    ['a text that is not JSON', 'SIDECAR_UPSTREAM=http://127.0.0.1:1', /not JSON/],
    ['an invalid value', { SIDECAR_UPSTREAM: 'https://elsewhere' }, /SIDECAR_UPSTREAM/],
    ['a value that is not a string', { SIDECAR_LISTEN: 8443 }, /SIDECAR_LISTEN/],
    ['a text that is too long', `{"a":"${'x'.repeat(5_000)}"}`, /not a record/],
  ])('is unusable with %s', async (_what, content, reason) => {
    const folder = tempFolder()
    writeRecord(folder, content)
    const record = await readRecord(folder, uid)
    expect(record).toEqual({ kind: 'unusable', reason: expect.stringMatching(reason) as string })
  })

  it('can set only addresses', async () => {
    const folder = tempFolder()
    writeRecord(folder, { SIDECAR_USERS: '/etc/passwd', SIDECAR_TLS_CERT: 'x', SIDECAR_LISTEN: ':1' })
    expect(await readRecord(folder, uid)).toEqual({ kind: 'found', settings: { listen: ':1' } })
  })

  it('is unusable if other users can write to it or own it', async () => {
    const folder = tempFolder()
    const file = writeRecord(folder, { SIDECAR_UPSTREAM: 'http://127.0.0.1:41000' })
    expect(await readRecord(folder, uid + 1)).toMatchObject({ reason: 'it belongs to another user' })
    chmodSync(file, 0o620)
    expect(await readRecord(folder, uid)).toMatchObject({ reason: 'other users can write to it' })
  })

  it('may be a pipe or a broken link, without a wait', async () => {
    const folder = tempFolder()
    execFileSync('mkfifo', [recordIn(folder)])
    expect(await readRecord(folder, uid)).toEqual({ kind: 'unusable', reason: 'it is not a record' })
    const other = tempFolder()
    symlinkSync('nowhere', recordIn(other))
    expect(await readRecord(other, uid)).toEqual({ kind: 'none' })
  })
})

describe('commands beside a running quickstart', () => {
  it('use its addresses, and say so', async () => {
    const cwd = tempFolder()
    const upstream = await upstreamForTest(answering(OK))
    const registry = `http://127.0.0.1:${upstream.port}`
    writeRecord(path.join(cwd, 'state'), { SIDECAR_UPSTREAM: registry, SIDECAR_ADMIN_LISTEN: '127.0.0.1:1' })
    const check = await run(['check'], { cwd })
    expect(check.stdout).toMatch(
      new RegExp(
        `^ok +settings: using SIDECAR_UPSTREAM=${registry} from the running quickstart .*quickstart\\.json`,
        'm',
      ),
    )
    expect(check.stdout).toMatch(new RegExp(`^ok +registry: ${registry} answers$`, 'm'))
    const health = await run(['healthcheck'], { cwd })
    expect(health.stderr).toContain('using SIDECAR_ADMIN_LISTEN=127.0.0.1:1 from the running quickstart')
    expect(health.stderr).toContain('no sidecar answers on 127.0.0.1:1')
  })

  it.each<[what: string, args: string[], env: Record<string, string>]>([
    ['a variable', [], { SIDECAR_UPSTREAM: 'http://127.0.0.1:1' }],
    ['a flag', ['--upstream', 'http://127.0.0.1:1'], {}],
  ])('never use them instead of %s', async (_what, args, env) => {
    const cwd = tempFolder()
    writeRecord(path.join(cwd, 'state'), { SIDECAR_UPSTREAM: 'http://127.0.0.1:2' })
    const { stdout } = await run(['check', ...args], { cwd, env })
    expect(stdout).toMatch(/^problem registry: http:\/\/127\.0\.0\.1:1: /m)
    expect(stdout).not.toContain('quickstart')
  })

  it.skipIf(uid !== 0)('ignore the record of another user, and say so', async () => {
    const cwd = tempFolder()
    const file = writeRecord(path.join(cwd, 'state'), { SIDECAR_UPSTREAM: 'http://127.0.0.1:2' })
    chownSync(file, 65_534, 65_534)
    const { stdout } = await run(['check'], { cwd })
    expect(stdout).toMatch(
      /^note +settings: state\/quickstart\.json is ignored: it belongs to another user$/m,
    )
    expect(stdout).toMatch(/^\w+ +registry: http:\/\/127\.0\.0\.1:5000/m)
    expect(readFileSync(file, 'utf8')).toContain('127.0.0.1:2')
  })
})
