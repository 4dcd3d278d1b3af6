// Guesses the password of a remembered login on many connections.
//
// The guesses come from another source, and from the source that proved the login.

import { Agent } from 'node:https'
import { expect, it, onTestFinished } from 'vitest'
import { connect, type Connection } from '../bench/flood/connection.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { isStress, repetitions } from '../fixtures/repetitions.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

const PROVEN = '127.0.0.2'
const ELSEWHERE = '127.0.0.3'
const LIMIT = 20

const BURST = 20
const PER_SECOND = 10
const SECONDS = repetitions({ usual: 2, stress: 6 })
const CONNECTIONS = isStress ? [64, 1_500] : [64]
const HANDSHAKES_AT_A_TIME = 32
const OPEN_DEADLINE_MS = 120_000

interface Guessing {
  /** Statuses of all answers so far. */
  readonly statuses: readonly number[]
  /** When the first guess was sent, by `performance.now`. */
  readonly since: number
  readonly stop: () => void
}

async function sidecarWithAlice(): Promise<TestSidecar> {
  const upstream = await upstreamForTest(answering(OK))
  const env = {
    // The window does not end during the test.
    SIDECAR_THROTTLE: `${LIMIT}/1h`,
    // This process is client and server of 1,500 handshakes.
    SIDECAR_HANDSHAKE_TIMEOUT: '5m',
    SIDECAR_HEADER_TIMEOUT: '5m',
  }
  return sidecarForTest({ upstreamPort: upstream.port, users: ALICE_ENTRY, env })
}

/** Guesses alice's password on these connections as fast as answers come. Connections that end are opened again. */
async function guess(sidecar: TestSidecar, localAddress: string, connections: number): Promise<Guessing> {
  const route = { port: sidecar.port, ca: sidecar.root.pem, localAddress }
  const open = new Set<Connection>()
  const statuses: number[] = []
  const state = { isOver: false }
  let guesses = 0
  const openOne = async () => {
    const connection = await connect(route)
    open.add(connection)
    return connection
  }
  const lane = async (first: Connection): Promise<void> => {
    let connection = first
    while (!state.isOver) {
      const status = await connection.login('alice', `guess ${guesses++}`)
      if (status !== 0) statuses.push(status)
      if (connection.isOpen) continue
      open.delete(connection)
      connection = await openOne()
    }
  }
  const stop = () => {
    state.isOver = true
    for (const connection of open) connection.close()
  }
  onTestFinished(stop)
  for (let at = 0; at < connections; at += HANDSHAKES_AT_A_TIME) {
    const count = Math.min(HANDSHAKES_AT_A_TIME, connections - at)
    await Promise.all(Array.from({ length: count }, openOne))
  }
  const since = performance.now()
  for (const connection of open) lane(connection).catch(() => undefined)
  return { statuses, since, stop }
}

const SOURCES = [
  { from: ELSEWHERE, who: 'another source' },
  { from: PROVEN, who: 'the source that proved the login' },
]

it.each(SOURCES.flatMap((source) => CONNECTIONS.map((connections) => ({ ...source, connections }))))(
  '$connections connections of $who get no more answers than one connection, and the login still works',
  { timeout: 300_000 },
  async ({ connections, from }) => {
    const sidecar = await sidecarWithAlice()
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: sidecar.root.pem })
    onTestFinished(() => {
      agent.destroy()
    })
    const asAlice = { path: '/v2/', as: ALICE, localAddress: PROVEN }
    expect((await sidecar.request({ ...asAlice, agent })).status).toBe(200)
    const { statuses, since, stop } = await guess(sidecar, from, connections)
    const isThrottled = () => statuses.includes(429)
    await until(isThrottled, { deadlineMs: OPEN_DEADLINE_MS, what: 'the throttle' })

    if (from !== PROVEN) {
      // It may be cut or answered, but not accepted.
      const right = await sidecar.request({ ...asAlice, localAddress: from }).then(
        ({ status }) => status,
        () => 0,
      )
      expect(right, 'the right password from the throttled source').not.toBe(200)
    }
    const end = performance.now() + SECONDS * 1_000
    const onNewConnections: number[] = []
    while (performance.now() < end || onNewConnections.length < 20) {
      expect((await sidecar.request({ ...asAlice, agent })).status).toBe(200)
      const { status } = await sidecar.request(asAlice).catch(() => ({ status: 0 }))
      onNewConnections.push(status)
    }
    const cut = onNewConnections.filter((status) => status === 0).length
    expect(new Set(onNewConnections.filter((status) => status !== 0))).toEqual(new Set([200]))
    // Guesses on new connections of the same source compete with its user's: now and then one waits too long.
    expect(cut, `of ${onNewConnections.length} cut`).toBeLessThanOrEqual(from === PROVEN ? 2 : 0)
    stop()
    const seconds = (performance.now() - since) / 1_000
    expect(statuses).not.toContain(200)
    expect(statuses.length, `answers in ${seconds} s`).toBeLessThanOrEqual(BURST + 1 + PER_SECOND * seconds)
    expect(statuses.length).toBeGreaterThan(LIMIT)
  },
)
