import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const CHANGES = 50
// Looks follow bursts, which last 50 ms: no more fit into a second, however many changes there are. Timers count whole
// milliseconds, and may be early by a part of one. Beside the bursts there are the polls.
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

it('50 changes in a second leave the last one in force, and never let a broken set in between', async () => {
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
