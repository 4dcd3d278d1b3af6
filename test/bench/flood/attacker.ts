// Guesses passwords on many connections from one address.

import { setTimeout as pause } from 'node:timers/promises'
import { runAsClient } from './client.ts'
import { connect, type Connection, type Route } from './connection.ts'

export interface AttackerTask extends Route {
  readonly connections: number
  readonly seconds: number
  /** Tried in turn; existing and unknown names. */
  readonly usernames: readonly string[]
}

export interface AttackerReport {
  readonly seconds: number
  /** Number of answers by status; 0 counts connections that were refused or ended without an answer. */
  readonly answers: Readonly<Record<number, number>>
}

const RETRY_PAUSE_MS = 10

await runAsClient(attack)

async function attack(task: AttackerTask): Promise<AttackerReport> {
  const { connections, seconds, usernames } = task
  const answers: Record<number, number> = {}
  const end = performance.now() + seconds * 1000
  let guesses = 0
  const count = (status: number): void => {
    answers[status] = (answers[status] ?? 0) + 1
  }
  const guess = async (connection: Connection): Promise<void> => {
    const username = usernames[guesses % usernames.length] ?? ''
    count(await connection.login(username, `wrong-${guesses++}`))
  }
  const lanes = Array.from({ length: connections }, async () => {
    while (performance.now() < end) {
      const connection = await connect(task).catch(() => undefined)
      while (connection?.isOpen === true && performance.now() < end) await guess(connection)
      connection?.close()
      if (connection === undefined) {
        count(0)
        await pause(RETRY_PAUSE_MS)
      }
    }
  })
  await Promise.all(lanes)
  return { seconds, answers }
}
