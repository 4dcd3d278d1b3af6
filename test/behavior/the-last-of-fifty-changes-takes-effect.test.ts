import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const CHANGES = 50
// The file is read after each burst of changes. A burst lasts at least 50 ms; timers may fire a part of a millisecond
// early. Polls cause further reads.
const SHORTEST_BURST_MS = 49
const POLL_MS = 1_000

const WAYS: readonly ((file: string, text: string) => void)[] = [
  writeFileSync,
  (file, text) => {
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
  },
  (file, text) => {
    rmSync(file)
    writeFileSync(file, text)
  },
]

it('after 50 changes in a second the last one is in use, and no broken table in between', async () => {
  const upstream = await upstreamForTest(answering(OK))
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port })
  const agent = new Agent({ keepAlive: true, ca: sidecar.root.pem })
  onTestFinished(() => {
    agent.destroy()
  })
  const textOf = (change: number) => `${ALICE_ENTRY}${ALICE_ENTRY.replace('alice', `user-${change}`)}`
  const statuses = new Set<number>()
  const start = performance.now()
  for (let change = 1; change <= CHANGES; change++) {
    WAYS[change % WAYS.length]?.(sidecar.usersFile, textOf(change))
    statuses.add((await sidecar.request({ agent, as: ALICE, path: '/v2/' })).status)
    await pause(Math.max(0, start + change * 20 - performance.now()))
  }
  const isLastInForce = () => sidecar.users.table.entries.has(`user-${CHANGES}`)
  const tookMs = await until(isLastInForce, { deadlineMs: 1_000, what: 'the last change is in force' })
  const elapsedMs = performance.now() - start
  await sidecar.stop()

  const [, ...reloads] = sidecar.lines.filter(({ msg }) => msg === 'users in force')
  console.log(`${reloads.length} reloads, the last in force ${tookMs.toFixed(0)} ms after the last change`)
  expect([...statuses]).toEqual([200])
  expect(reloads.every(({ users }) => users === 2)).toBe(true)
  expect(reloads.length).toBeLessThanOrEqual(elapsedMs / SHORTEST_BURST_MS + 1 + elapsedMs / POLL_MS + 1)
  expect(sidecar.lines.filter(({ level }) => Number(level) >= 40)).toEqual([])
})
