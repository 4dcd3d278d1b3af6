import { readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { createWatchedFile, GARBAGE, plainFile, type WatchedFile } from './watched-file.ts'
import { until } from '../fixtures/until.ts'

const open: WatchedFile[] = []

afterEach(async () => {
  for (const watched of open.splice(0)) await watched.remove()
})

async function watchedFile(): Promise<WatchedFile> {
  const watched = await createWatchedFile({ pollMs: 'off', prepare: plainFile })
  open.push(watched)
  return watched
}

describe('unchanged content', () => {
  it('causes no change when the file is touched', async () => {
    const watched = await watchedFile()
    const before = watched.looks()

    await utimes(watched.file, new Date(), new Date())
    await until(() => watched.looks() > before, { deadlineMs: 1000, what: 'the touch is noticed' })
    await watched.watch.check()

    expect(watched.seen).toEqual(['old'])
  })

  it('causes no change when it is written again', async () => {
    const watched = await watchedFile()

    await writeFile(watched.file, 'old')
    await watched.watch.check()

    expect(watched.seen).toEqual(['old'])
  })
})

describe('an invalid file', () => {
  it('keeps the last good value, reports the reason, and recovers', async () => {
    const watched = await watchedFile()

    await writeFile(watched.file, GARBAGE)
    await until(() => watched.value.state.kind === 'stale', { deadlineMs: 1000, what: 'it is stale' })
    expect(watched.value.state).toEqual({ kind: 'stale', reason: 'is garbage' })
    expect(watched.value.current).toBe('old')

    await writeFile(watched.file, 'new')
    await watched.becomes('new', 1000)
    expect(watched.value.state).toEqual({ kind: 'fresh' })
    expect(watched.errors).toEqual([])
  })

  it('that stays missing keeps the last good value, and recovers', async () => {
    const watched = await watchedFile()

    await rm(watched.file)
    await until(() => watched.value.state.kind === 'stale', { deadlineMs: 1000, what: 'it is stale' })
    expect(watched.value.current).toBe('old')

    await writeFile(watched.file, 'old')
    await until(() => watched.value.state.kind === 'fresh', { deadlineMs: 1000, what: 'it is fresh' })
  })

  it('that stays empty counts as empty after a quarter of a second', async () => {
    const watched = await watchedFile()
    const start = performance.now()

    await writeFile(watched.file, '')

    await watched.becomes('', 1000)
    expect(performance.now() - start).toBeGreaterThan(250)
  })
})

describe('close()', () => {
  it.runIf(process.platform === 'linux')('leaves no watch open', async () => {
    const before = await inotifyWatches()
    const watched = await watchedFile()
    expect(await inotifyWatches()).toBeGreaterThan(before)

    await watched.watch.close()

    expect(await inotifyWatches()).toBe(before)
  })

  it('waits for a running reload', async () => {
    const watched = await watchedFile()
    await rm(watched.file)
    const checked = watched.watch.check()
    await Promise.resolve()

    await watched.watch.close()

    expect(await settledYet(checked)).toBe(true)
  })

  it('is followed by no call, even if files change', async () => {
    const watched = await watchedFile()
    await writeFile(watched.file, 'new')
    await watched.watch.close()
    const looks = watched.looks()
    const witness = await createWatchedFile({ pollMs: 'off', prepare: () => Promise.resolve('witness') })
    open.push(witness)

    await writeFile(watched.file, 'newer')
    await watched.watch.check()
    await writeFile(witness.file, 'new')
    await witness.becomes('new')

    expect(watched.looks()).toBe(looks)
  })
})

// Node does not list these watchers, because they do not keep the process alive. Linux lists them.
async function inotifyWatches(): Promise<number> {
  const descriptors = await readdir('/proc/self/fdinfo').catch(() => [])
  const infos = await Promise.all(
    descriptors.map((fd) => readFile(`/proc/self/fdinfo/${fd}`, 'utf8').catch(() => '')),
  )
  return infos.join('\n').split('\ninotify ').length - 1
}

function settledYet(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([
    promise.then(() => true),
    new Promise<boolean>((resolve) => setImmediate(resolve, false)),
  ])
}
