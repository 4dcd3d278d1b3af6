import { pbkdf2 } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { startRegistryProcess } from '../../../src/cli/quickstart/registry-process.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

it('the end of a registry is noticed even while its start waits for the disk', async () => {
  const folder = tempFolder()
  const binary = path.join(folder, 'registry')
  writeFileSync(binary, '#!/bin/sh\nexit 3\n', { mode: 0o755 })
  keepDiskBusy()
  const started = await startRegistryProcess(binary, { folder, env: process.env })
  await until(() => started.ended.aborted, { deadlineMs: 10_000, what: 'its end' })
  await expect(started.stop()).resolves.toBeUndefined()
})

/** Delays every file operation of Node by tens of milliseconds until the test ends, by using up its threads. */
function keepDiskBusy(): void {
  let isOver = false
  const lane = async (): Promise<void> => {
    while (!isOver) await promisify(pbkdf2)('x', 'y', 60_000, 64, 'sha512')
  }
  const lanes = Promise.all(Array.from({ length: 8 }, lane))
  onTestFinished(async () => {
    isOver = true
    await lanes
  })
}
