import { appendFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { errorCode, InvalidFileError } from '../../src/errors/errors.ts'
import { readSettled } from '../../src/files/settled-file.ts'
import { asNobody, NOBODY } from '../fixtures/nobody.ts'

let base = ''
let file = ''

beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'settled-'))
  file = path.join(base, 'htpasswd')
})

afterEach(async () => {
  await rm(base, { recursive: true, force: true })
})

describe('readSettled', () => {
  it('reads a file that does not change', async () => {
    await writeFile(file, 'content')

    expect((await readSettled(file)).toString()).toBe('content')
  })

  it('waits for a file that is being written, and reads all of it', async () => {
    writeFileSync(file, 'start')
    let pieces = 0
    const writing = setInterval(() => {
      appendFileSync(file, '.')
      if (++pieces === 40) clearInterval(writing)
    }, 10)

    expect((await readSettled(file)).toString()).toBe(`start${'.'.repeat(40)}`)
  })

  it.each([0, 50, 150])('does not accept an empty file that is written %i ms later', async (ms) => {
    writeFileSync(file, 'old')
    truncateSync(file, 0)
    setTimeout(() => {
      writeFileSync(file, 'new')
    }, ms)

    expect((await readSettled(file)).toString()).toBe('new')
  })

  it('accepts a file that stays empty, after at least 250 ms', async () => {
    await writeFile(file, '')
    const start = performance.now()

    expect(await readSettled(file)).toHaveLength(0)

    expect(performance.now() - start).toBeGreaterThan(250)
  })

  it('waits for a file that is missing for a short time', async () => {
    const reading = readSettled(file)
    await pause(100)
    await writeFile(file, 'new')

    expect((await reading).toString()).toBe('new')
  })

  it('is not prevented by renames without a pause', async () => {
    let renames = 0
    const renaming = new AbortController()
    const renamer = (async () => {
      while (!renaming.signal.aborted) {
        await writeFile(`${file}.new`, `content ${renames++}`)
        await rename(`${file}.new`, file)
      }
    })()
    await pause(20)

    expect((await readSettled(file)).toString()).toMatch(/^content \d+$/)

    renaming.abort()
    await renamer
  })
})

describe('readSettled rejects with InvalidFileError', () => {
  it('for a missing file, with the system error as cause', async () => {
    const error = await readSettled(file).catch((caught: unknown) => caught)

    expect(error).toBeInstanceOf(InvalidFileError)
    expect(error).toMatchObject({ file, reason: 'is missing' })
    expect(errorCode((error as InvalidFileError).cause)).toBe('ENOENT')
  })

  it('for a folder, at once, with a hint where it may come from', async () => {
    await mkdir(file)

    await expect(readSettled(file)).rejects.toMatchObject({
      reason: expect.stringMatching(/is a folder.*docker/) as unknown,
    })
  })

  it('for a file larger than 64 MiB', async () => {
    const handle = await open(file, 'w')
    await handle.truncate(64 * 1024 * 1024 + 1)
    await handle.close()

    await expect(readSettled(file)).rejects.toMatchObject({ reason: 'is larger than 64 MiB' })
  })

  it('for a symlink loop', async () => {
    symlinkSync(file, file)

    await expect(readSettled(file)).rejects.toMatchObject({
      reason: expect.stringContaining('ELOOP') as unknown,
    })
  })

  it('for an unreadable file', async () => {
    await writeFile(file, 'content')
    await chmod(file, 0o000)
    // The root user may read everything, so the test runs as another user for this.
    await chown(base, NOBODY, NOBODY).catch(() => undefined)

    await expect(asNobody(() => readSettled(file))).rejects.toMatchObject({
      reason: 'this process has no permission to read it (EACCES)',
    })
  })
})
