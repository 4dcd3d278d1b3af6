// Tests the watch without file events, because all watches fail.

import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { withFailingWatches } from './no-file-events.ts'
import { createWatchedFile, GARBAGE, plainFile, type WatchedFile } from './watched-file.ts'
import { renameOver, WAYS_TO_CHANGE } from './ways-to-change.ts'
import { until } from '../fixtures/until.ts'

const POLL_MS = 100
const open: WatchedFile[] = []

let undo = (): void => undefined
beforeAll(() => {
  undo = withFailingWatches()
})
afterAll(() => {
  undo()
})
afterEach(async () => {
  for (const watched of open.splice(0)) await watched.remove()
})

async function watchedFile(prepare = plainFile): Promise<WatchedFile> {
  const watched = await createWatchedFile({ pollMs: POLL_MS, prepare })
  open.push(watched)
  return watched
}

describe('a change noticed by the poll', () => {
  it.each(WAYS_TO_CHANGE)('$way: in force within the poll and half a second', async (way) => {
    const watched = await watchedFile(way.prepare)
    expect(watched.value.current).toBe('old')

    await way.change(watched.base)

    await watched.becomes('old-new', POLL_MS + 500)
    expect(watched.seen).toEqual(['old', 'old-new'])
    expect(watched.value.state).toEqual({ kind: 'fresh' })
  })

  it('a file that is missing at the start is picked up when it appears', async () => {
    const watched = await watchedFile(() => Promise.resolve('not/yet/htpasswd'))

    await mkdir(path.dirname(watched.file), { recursive: true })
    await writeFile(watched.file, 'new')

    await watched.becomes('new', 1000)
  })

  it('the last of many renames wins', async () => {
    const watched = await watchedFile()

    for (let i = 0; i < 50; i++) await renameOver(watched.base, `content ${i}`)

    await watched.becomes('content 49', 1000)
  })

  it('the last good value stays during garbage or a missing file, until the file is valid again', async () => {
    const watched = await watchedFile()

    await writeFile(watched.file, GARBAGE)
    await untilState(watched, { kind: 'stale', reason: 'is garbage' })
    await rm(watched.file)
    await untilState(watched, { kind: 'stale', reason: 'is missing' })
    expect(watched.value.current).toBe('old')
    await writeFile(watched.file, 'old')
    await untilState(watched, { kind: 'fresh' })

    expect(watched.seen).toEqual(['old'])
  })

  it('every poll reads a file that changed just now, but not a file that changed long ago', async () => {
    const longAgo = await watchedFile(() =>
      Promise.resolve(createRequire(import.meta.url).resolve('chokidar')),
    )
    onTestFinished(() => {
      vi.useRealTimers()
    })
    // The change must stay recent, even if this machine stands still for some time.
    const justNow = await watchedFile(async (base) => {
      const name = await plainFile(base)
      const { ctime } = await stat(path.join(base, name))
      vi.useFakeTimers({ toFake: ['Date'], now: ctime })
      return name
    })
    const before = longAgo.looks()

    await until(() => justNow.looks() >= 5, { deadlineMs: 2000, what: 'five polls' })

    expect(longAgo.looks()).toBe(before)
  })
})

it('a failing watch is reported once, and the polls continue', async () => {
  const watched = await watchedFile(
    WAYS_TO_CHANGE.find(({ way }) => way === 'swap a link in the middle of a chain')?.prepare,
  )

  await writeFile(watched.file, 'new')

  await watched.becomes('new', 1000)
  expect(watched.errors).toEqual([expect.objectContaining({ code: 'ENOSPC' })])
})

it('a closed watch does not poll', async () => {
  const watched = await watchedFile()
  await watched.watch.close()
  const looks = watched.looks()
  const witness = await watchedFile()

  await renameOver(watched.base, 'new')
  await renameOver(witness.base, 'new')
  await witness.becomes('new')

  expect(watched.looks()).toBe(looks)
})

function untilState(watched: WatchedFile, expected: unknown): Promise<number> {
  const wanted = JSON.stringify(expected)
  return until(() => JSON.stringify(watched.value.state) === wanted, { deadlineMs: 1500, what: wanted })
}
