import { pbkdf2 } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { startRegistryProcess } from '../../../src/cli/quickstart/registry-process.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

it('a registry that ends while its start still waits for the disk is seen to have ended', async () => {
  const folder = tempFolder()
  const binary = path.join(folder, 'registry')
  writeFileSync(binary, '#!/bin/sh\nexit 3\n', { mode: 0o755 })
  keepDiskBusy()
  const started = await startRegistryProcess(binary, { folder, env: process.env })
  await until(() => started.ended.aborted, { deadlineMs: 10_000, what: 'its end' })
  await expect(started.stop()).resolves.toBeUndefined()
})

/** Until the test is over, whatever Node does to a file waits for tens of milliseconds and more: for one of its threads. */
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
