import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { InvalidFileError, NotAppliedError } from '../../src/errors/errors.ts'
import { createLog } from '../../src/observability/log.ts'
import { follow } from '../../src/files/followed-file.ts'
import { createReloadable } from '../../src/files/reloadable.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'

let base = ''
let file = ''
let parses = 0

beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'reloadable-'))
  file = path.join(base, 'htpasswd')
  parses = 0
})

afterEach(async () => {
  await rm(base, { recursive: true, force: true })
})

describe('createReloadable', () => {
  it('reads nothing by itself', () => {
    const value = createReloadable({ file, parse, initial: 0 })

    expect(value.current).toBe(0)
    expect(value.state).toEqual({ kind: 'stale', reason: 'not read yet' })
  })

  it('replaces the value, and calls listeners with the new value and the previous one', async () => {
    const value = createReloadable({ file, parse, initial: 0 })
    const changes: [number, number][] = []
    value.onChange((next, previous) => {
      changes.push([next, previous])
    })

    await writeFile(file, '1')
    expect(await value.reload()).toBe('changed')
    await writeFile(file, '2')
    expect(await value.reload()).toBe('changed')

    expect(value.current).toBe(2)
    expect(value.state).toEqual({ kind: 'fresh' })
    expect(changes).toEqual([
      [1, 0],
      [2, 1],
    ])
  })

  it('does not parse the same bytes twice', async () => {
    const value = createReloadable({ file, parse, initial: 0 })
    await writeFile(file, '1')
    await value.reload()

    await writeFile(file, '1')
    expect(await value.reload()).toBe('unchanged')

    expect(parses).toBe(1)
  })

  it('parses an emptied file: empty content is a value too', async () => {
    const value = createReloadable({ file, parse: (bytes) => bytes.length, initial: -1 })
    await writeFile(file, '')

    expect(await value.reload()).toBe('changed')

    expect(value.current).toBe(0)
  })

  it('runs calls one after the other, and waiting calls share one reload', async () => {
    const value = createReloadable({ file, parse, initial: 0 })
    await writeFile(file, '1')

    const first = value.reload()
    await Promise.resolve()
    const second = value.reload()
    const third = value.reload()

    expect(second).not.toBe(first)
    expect(third).toBe(second)
    expect(await Promise.all([first, second, third])).toEqual(['changed', 'unchanged', 'unchanged'])
  })
})

it('calls a listener again at the next reload after it threw, even for the same bytes', async () => {
  const value = createReloadable({ file, parse, initial: 0 })
  const called: number[] = []
  let obstacle: Error | undefined = new Error('refused')
  value.onChange((next) => {
    called.push(next)
    if (obstacle !== undefined) throw obstacle
  })
  await writeFile(file, '1')

  await expect(value.reload()).rejects.toEqual(new NotAppliedError(obstacle))
  expect([value.current, value.state.kind]).toEqual([1, 'stale'])
  obstacle = undefined

  expect(await value.reload()).toBe('unchanged')
  expect([called, value.state.kind, parses]).toEqual([[1, 1], 'fresh', 1])
})

it('logs the error of a listener once, and not as a failure of the file or of its watch', async () => {
  const { log, lines } = recordedLog()
  const value = createReloadable({ file, parse, initial: 0, log })
  let obstacle: Error | undefined = new Error('refused')
  value.onChange(() => {
    if (obstacle !== undefined) throw obstacle
  })
  await writeFile(file, '1')

  const following = await follow(value, { file, pollMs: 'off', log })
  await expect(following.reload()).rejects.toEqual(new NotAppliedError(obstacle))
  obstacle = undefined
  await following.reload()
  await following.close()

  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    [50, 'a change of this file is not applied; the next reload tries again'],
    [30, 'file can be used again'],
  ])
})

it('distinguishes contents of many megabytes that differ only in the last byte', async () => {
  const bytes = Buffer.alloc(9 * 1024 * 1024, 'x')
  const value = createReloadable({ file, parse: (read) => read.at(-1), initial: undefined })
  await writeFile(file, bytes)
  await value.reload()
  bytes.write('y', bytes.length - 1)
  await writeFile(file, bytes)

  expect(await value.reload()).toBe('changed')

  expect(value.current).toBe('y'.charCodeAt(0))
  expect(await value.reload()).toBe('unchanged')
})

describe('a failed reload', () => {
  it('rejects with InvalidFileError and changes nothing but the state', async () => {
    const value = createReloadable({ file, parse, initial: 0 })
    await writeFile(file, '1')
    await value.reload()

    await writeFile(file, 'garbage')
    const error = await value.reload().catch((caught: unknown) => caught)

    expect(error).toBeInstanceOf(InvalidFileError)
    expect(error).toMatchObject({ file, reason: 'is no number' })
    expect(value.current).toBe(1)
    expect(value.state).toEqual({ kind: 'stale', reason: 'is no number' })
  })

  it('rejects with the InvalidFileError that parse throws', async () => {
    const thrown = new InvalidFileError(file, 'has no valid line')
    const value = createReloadable<number>({ file, parse: () => failWith(thrown), initial: 0 })
    await writeFile(file, 'x')

    await expect(value.reload()).rejects.toBe(thrown)
  })

  it('rejects again while the content stays broken, without parsing it again', async () => {
    const value = createReloadable({ file, parse, initial: 0 })
    await writeFile(file, 'garbage')

    await expect(value.reload()).rejects.toThrow('is no number')
    await expect(value.reload()).rejects.toThrow('is no number')

    expect(parses).toBe(1)
    expect(value.current).toBe(0)
  })

  it('ends when the last good content returns, which is not a change', async () => {
    const value = createReloadable({ file, parse, initial: 0 })
    await writeFile(file, '1')
    await value.reload()
    await rm(file)
    await expect(value.reload()).rejects.toThrow('is missing')
    expect(value.state).toEqual({ kind: 'stale', reason: 'is missing' })

    await writeFile(file, '1')

    expect(await value.reload()).toBe('unchanged')
    expect(value.state).toEqual({ kind: 'fresh' })
  })

  it('is logged once per content and reason, and its end is logged once', async () => {
    const destination = new PassThrough()
    const log = createLog({ level: 'info', format: 'json', destination })
    const value = createReloadable({ file, parse, initial: 0, log })

    for (const content of ['garbage', 'garbage', 'rubbish', 'rubbish', '1', '1']) {
      await writeFile(file, content)
      await value.reload().catch(() => undefined)
    }

    expect(linesOf(destination)).toEqual([
      ['error', 'is no number'],
      ['error', 'is no number'],
      ['info', undefined],
    ])
  })
})

describe('an error that is not about the content', () => {
  it('is tried again for the same content, and its reason names no path', async () => {
    const { log, lines } = recordedLog()
    let obstacle: Error | undefined = new Error('EAGAIN: /opt/sidecar/thread')
    const parseOrFail = (bytes: Buffer) => (obstacle === undefined ? parse(bytes) : failWith(obstacle))
    const value = createReloadable({ file, parse: parseOrFail, initial: 0, log })
    await writeFile(file, '1')

    await expect(value.reload()).rejects.toThrow('EAGAIN')
    expect(value.state).toEqual({
      kind: 'stale',
      reason: 'the file could not be loaded; it is tried again',
      isTransient: true,
    })
    expect(lines[0]).toMatchObject({ event: 'file-not-loaded', reason: obstacle.message })
    obstacle = undefined

    expect(await value.reload()).toBe('changed')
    expect([value.current, value.state.kind]).toEqual([1, 'fresh'])
  })

  it('is tried again after a pause of five times the attempt, so that a slow content takes little CPU', async () => {
    let now = 1_000
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    onTestFinished(() => void vi.restoreAllMocks())
    const parseSlowly = (): never => {
      parses++
      now += 10_000
      return failWith(new Error('takes over 10 s'))
    }
    const value = createReloadable<number>({ file, parse: parseSlowly, initial: 0 })
    await writeFile(file, '1')

    await expect(value.reload()).rejects.toThrow('takes over 10 s')
    now += 49_999
    await expect(value.reload()).rejects.toThrow('takes over 10 s')
    expect(parses).toBe(1)
    now += 1
    await expect(value.reload()).rejects.toThrow('takes over 10 s')
    expect(parses).toBe(2)
  })
})

describe('a file that is allowed to appear later', () => {
  const missing = ['error', 'is missing'] as const
  const invalid = ['error', 'is no number'] as const
  const usable = ['info', undefined] as const

  it.each<[what: string, steps: readonly (string | undefined)[], logged: readonly unknown[]]>([
    ['is no error before its first appearance', [undefined, undefined, '1'], []],
    [
      'is an error when it was loaded and is now missing',
      [undefined, '1', undefined, '1'],
      [missing, usable],
    ],
    [
      'is an error when it was invalid and is now missing',
      [undefined, 'x', undefined, '1'],
      [invalid, missing, usable],
    ],
  ])('%s', async (_what, steps, logged) => {
    const destination = new PassThrough()
    const log = createLog({ level: 'info', format: 'json', destination })
    const value = createReloadable({ file, parse, initial: 0, log, mayAppearLater: true })

    for (const content of steps) {
      if (content === undefined) await rm(file, { force: true })
      else await writeFile(file, content)
      const state = content === undefined ? { kind: 'stale', reason: 'is missing' } : undefined
      await value.reload().catch(() => undefined)
      if (state !== undefined) expect(value.state).toEqual(state)
    }

    expect(value.current).toBe(1)
    expect(linesOf(destination)).toEqual(logged)
  })
})

function parse(bytes: Buffer): number {
  parses++
  const value = Number(bytes.toString())
  if (Number.isNaN(value)) throw new InvalidFileError(file, 'is no number')
  return value
}

function failWith(error: Error): never {
  throw error
}

function linesOf(destination: PassThrough): (readonly [string, string | undefined])[] {
  const text = String(destination.read() ?? '')
  return text
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { level: number; reason?: string })
    .map(({ level, reason }) => [level === 50 ? 'error' : 'info', reason] as const)
}
