// Tests parsing and logging that take several turns of the event loop.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { InvalidFileError } from '../../src/errors/errors.ts'
import { createReloadable } from '../../src/files/reloadable.ts'
import { readSettled } from '../../src/files/settled-file.ts'
import { until } from '../fixtures/until.ts'

let base = ''
let file = ''
let parses = 0

beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'slow-parse-'))
  file = path.join(base, 'htpasswd')
  parses = 0
})

afterEach(async () => {
  await rm(base, { recursive: true, force: true })
})

describe('a slow parse', () => {
  it('keeps the previous value in force and fresh until its end', async () => {
    const { value, release } = await slowValue()

    const reloading = value.reload()
    await until(() => parses === 2, { deadlineMs: 2000, what: 'the slow content is parsed' })
    expect([value.current, value.state]).toEqual([1, { kind: 'fresh' }])
    release()

    expect(await reloading).toBe('changed')
    expect(value.current).toBe(SLOW)
  })

  it('is not overtaken by a later reload: the content read last is in force at the end', async () => {
    const { value, release } = await slowValue()

    const first = value.reload()
    await until(() => parses === 2, { deadlineMs: 2000, what: 'the slow content is parsed' })
    await writeFile(file, '3')
    const second = value.reload()
    // Long enough to finish a second reload that does not wait.
    await readSettled(file)
    await readSettled(file)
    expect(parses).toBe(2)
    release()

    expect(await Promise.all([first, second])).toEqual(['changed', 'changed'])
    expect(value.current).toBe(3)
  })

  it('refuses the content when it rejects', async () => {
    const value = createReloadable({ file, parse: (bytes) => Promise.resolve(bytes).then(parse), initial: 0 })
    await writeFile(file, 'garbage')

    await expect(value.reload()).rejects.toBeInstanceOf(InvalidFileError)

    expect(value.current).toBe(0)
    expect(value.state).toEqual({ kind: 'stale', reason: 'is no number' })
  })
})

it('a reload lasts until its change is logged', async () => {
  let isDone = false
  const logChange = async () => {
    await readSettled(file)
    isDone = true
  }
  const value = createReloadable({ file, parse, initial: 0, logChange })
  await writeFile(file, '1')

  await value.reload()

  expect(isDone).toBe(true)
})

const SLOW = 2

/** A value of 1. Its file now contains SLOW, and parsing that takes until `release`. */
async function slowValue() {
  let release = (): void => undefined
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const parseSlowly = async (bytes: Buffer): Promise<number> => {
    const number = parse(bytes)
    if (number === SLOW) await released
    return number
  }
  const value = createReloadable({ file, parse: parseSlowly, initial: 0 })
  await writeFile(file, '1')
  await value.reload()
  await writeFile(file, String(SLOW))
  return { value, release }
}

function parse(bytes: Buffer): number {
  parses++
  const value = Number(bytes.toString())
  if (Number.isNaN(value)) throw new InvalidFileError(file, 'is no number')
  return value
}
