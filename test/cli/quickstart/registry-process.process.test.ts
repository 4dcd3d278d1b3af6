import { execFileSync } from 'node:child_process'
import { writeFileSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { startRegistryProcess } from '../../../src/cli/quickstart/registry-process.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

it('the end of a registry is noticed even while its start waits for the disk', async () => {
  const folder = tempFolder()
  const binary = path.join(folder, 'registry')
  writeFileSync(binary, '#!/bin/sh\nexit 3\n', { mode: 0o755 })
  await keepDiskBusy()
  const started = await startRegistryProcess(binary, { folder, env: process.env })
  await until(() => started.ended.aborted, { deadlineMs: 10_000, what: 'its end' })
  await expect(started.stop()).resolves.toBeUndefined()
})

/** Delays every file operation of Node by tens of milliseconds until the test ends: its threads read an empty pipe. */
async function keepDiskBusy(): Promise<void> {
  const pipe = path.join(tempFolder(), 'pipe')
  execFileSync('mkfifo', [pipe])
  const handle = await open(pipe, 'r+')
  let isOver = false
  const lane = async (): Promise<void> => {
    while (!isOver) await handle.read(Buffer.alloc(1), 0, 1, null)
  }
  const timer = setInterval(() => writeSync(handle.fd, 'x'), 10)
  const lanes = Promise.all(Array.from({ length: 8 }, lane))
  onTestFinished(async () => {
    isOver = true
    await lanes
    clearInterval(timer)
    await handle.close()
  })
}
