// Sends requests of a remembered user on one connection.

import { runAsClient } from './client.ts'
import { connect, type Route } from './connection.ts'

export interface CachedUserTask extends Route {
  readonly seconds: number
  readonly name: string
  readonly password: string
}

export interface CachedUserReport {
  /** Milliseconds until each answer. */
  readonly times: readonly number[]
}

const WARM_UP_REQUESTS = 500

await runAsClient(ask)

async function ask(task: CachedUserTask): Promise<CachedUserReport> {
  const connection = await connect(task)
  const request = async (): Promise<number> => {
    const start = performance.now()
    const status = await connection.login(task.name, task.password)
    if (status !== 200) throw new Error(`the cached user got status ${status}`)
    return performance.now() - start
  }
  // Node must compile the client code before the measurement.
  for (let i = 0; i < WARM_UP_REQUESTS; i++) await request()
  const times: number[] = []
  const end = performance.now() + task.seconds * 1000
  while (performance.now() < end) times.push(await request())
  connection.close()
  return { times }
}
