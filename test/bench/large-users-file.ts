// Measures loads and reloads of a large users file.

import { renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { PassThrough } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { createLog } from '../../src/observability/log.ts'
import { loadUsers } from '../../src/users/users.ts'
import { largeUsersFile } from '../fixtures/large-users-file.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const LINES = 100_000
const ROUNDS = 5

/** Formats the worst of five first loads and reloads. */
export async function largeFileFigures(): Promise<string> {
  const texts = [largeUsersFile(LINES, 'a'), largeUsersFile(LINES, 'b')]
  const folder = makeTempFolder()
  const file = path.join(folder, 'htpasswd')
  const put = (text: string | undefined) => {
    writeFileSync(`${file}.new`, text ?? '')
    renameSync(`${file}.new`, file)
  }
  const loads: Figure[] = []
  const reloads: Figure[] = []
  for (let round = 0; round < ROUNDS; round++) {
    put(texts[0])
    const log = createLog({ level: 'info', format: 'json', destination: new PassThrough().resume() })
    const { value: users, ...load } = await measured(() => loadUsers({ file, pollMs: 'off', log }))
    loads.push(load)
    put(texts[1])
    const before = users.table
    const reload = () => until(() => users.table !== before, { deadlineMs: 5_000, what: 'the reload' })
    reloads.push(await measured(reload))
    await users.close()
  }
  removeFolder(folder)
  return [
    `${LINES.toLocaleString('en')} lines, ${(texts[0]?.length ?? 0) >> 20} MiB, the worst of ${ROUNDS}:`,
    `load   ${worst(loads)}`,
    `reload ${worst(reloads)}, from the rename on`,
  ].join('\n')
}

interface Figure {
  readonly ms: number
  readonly blockedMs: number
}

async function measured<T>(action: () => Promise<T>): Promise<Figure & { readonly value: T }> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await pause(20)
  delay.reset()
  const start = performance.now()
  const value = await action()
  const ms = performance.now() - start
  // Listeners and the garbage collector run after the load.
  await pause(100)
  delay.disable()
  return { ms, blockedMs: delay.max / 1e6, value }
}

function worst(figures: readonly Figure[]): string {
  const ms = Math.max(...figures.map((figure) => figure.ms))
  const blockedMs = Math.max(...figures.map((figure) => figure.blockedMs))
  return `${ms.toFixed(0)} ms, the event loop held up for ${blockedMs.toFixed(1)} ms at most`
}
