// Tests the watch with file events alone. The poll is off in every test.

import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { watchFile, type FileWatch } from '../../src/files/watch.ts'
import { createWatchedFile, plainFile, type WatchedFile } from './watched-file.ts'
import { renameOver, WAYS_TO_CHANGE } from './ways-to-change.ts'

// Concurrent tests pass the function of their context.
async function watchedFile(prepare = plainFile, onFinished = onTestFinished): Promise<WatchedFile> {
  const watched = await createWatchedFile({ pollMs: 'off', prepare })
  onFinished(() => watched.remove())
  return watched
}

describe('a change noticed by events', () => {
  it.concurrent.for(WAYS_TO_CHANGE)(
    '$way: in force within a second, and nothing else before it',
    async (way, { onTestFinished: onFinished }) => {
      const watched = await watchedFile(way.prepare, onFinished)
      expect(watched.value.current).toBe('old')

      await way.change(watched.base)

      await watched.becomes('old-new', 1000)
      expect(watched.seen).toEqual(['old', 'old-new'])
      expect(watched.value.state).toEqual({ kind: 'fresh' })
    },
  )

  it.concurrent.for(WAYS_TO_CHANGE)(
    '$way: the next change is noticed too',
    async (way, { onTestFinished: onFinished }) => {
      const watched = await watchedFile(way.prepare, onFinished)
      await way.change(watched.base)
      await watched.becomes('old-new')

      await writeFile(watched.file, 'newest')

      await watched.becomes('newest', 1000)
    },
  )

  it('the second of two renames 20 ms apart wins', async () => {
    const watched = await watchedFile()

    await renameOver(watched.base, 'one')
    await pause(20)
    await renameOver(watched.base, 'two')

    await watched.becomes('two', 1000)
    expect(watched.value.state).toEqual({ kind: 'fresh' })
  })

  it('the last of 50 renames within a second wins, and does not delay the earlier ones', async () => {
    const watched = await watchedFile()
    const [start, looksBefore] = [performance.now(), watched.looks()]

    for (let i = 0; i < 50; i++) {
      await renameOver(watched.base, `content ${i}`)
      await pause(18)
    }
    const seenMeanwhile = watched.seen.length

    await watched.becomes('content 49', 1000)
    expect(seenMeanwhile).toBeGreaterThan(2)
    // A burst lasts at least 50 ms and a read 40 ms, so many changes cause only a few reads.
    const mostLooks = (performance.now() - start) / 90 + 1
    expect(watched.looks() - looksBefore).toBeLessThanOrEqual(mostLooks)
  })

  it('the last of 50 writes in place wins', async () => {
    const watched = await watchedFile()

    for (let i = 0; i < 50; i++) {
      await writeFile(watched.file, `content ${i}`)
      await pause(18)
    }

    await watched.becomes('content 49', 1000)
  })

  it('a file that is missing at the start is picked up when it appears', async () => {
    const watched = await watchedFile(async (base) => {
      await mkdir(path.join(base, 'users'))
      return 'users/htpasswd'
    })
    expect(watched.value.current).toBe('initial')
    expect(watched.value.state).toEqual({ kind: 'stale', reason: 'is missing' })

    await writeFile(watched.file, 'new')

    await watched.becomes('new', 1000)
  })

  it('a folder that is missing at the start is picked up when it appears', async () => {
    const watched = await watchedFile(() => Promise.resolve('not/yet/htpasswd'))

    await mkdir(path.dirname(watched.file), { recursive: true })
    await writeFile(watched.file, 'new')

    await watched.becomes('new', 1000)
  })

  it('a file with another name in the folder causes no look', async () => {
    const watched = await watchedFile()
    const before = watched.looks()
    // One change may cause several looks. So a second watch, on the other file, shows when its event has arrived.
    const other = path.join(watched.base, 'users', 'other')
    const witness = await watchedFile(() => Promise.resolve(other))

    await writeFile(other, 'x')
    await witness.becomes('x')
    expect(watched.looks()).toBe(before)

    await renameOver(watched.base, 'new')
    await watched.becomes('new')
  })

  it('a replaced folder is followed even if another watch still has the previous folder open', async () => {
    const watched = await watchedFile()
    const other = await watchThatHolds(watched.file)
    const replaceFolder = WAYS_TO_CHANGE.find(({ way }) => way === 'replace the folder by another')

    void other.watch.check()
    await replaceFolder?.change(watched.base)
    await watched.becomes('old-new')
    await writeFile(watched.file, 'newest')

    await watched.becomes('newest', 1000)
    other.release()
    await other.watch.close()
  })
})

// A watch whose `onSettled` waits for `release`, except in the first call.
async function watchThatHolds(file: string): Promise<{ watch: FileWatch; release: () => void }> {
  let release = (): void => undefined
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  let calls = 0
  const watch = watchFile(file, {
    pollMs: 'off',
    onSettled: () => (calls++ === 0 ? Promise.resolve() : released),
    onError: () => undefined,
  })
  await watch.ready
  return { watch, release }
}
