// Logs in new users, one per second.

import { setTimeout as pause } from 'node:timers/promises'
import { connect, type Route } from './connection.ts'

export interface Login {
  readonly name: string
  readonly password: string
}

export interface FreshLogin {
  /** From the start of the handshake until the answer. */
  readonly ms: number
  readonly status: number
}

const EVERY_MS = 1000

/** Each login uses its own connection and is the first of its user. */
export async function logInOneByOne(route: Route, logins: readonly Login[]): Promise<readonly FreshLogin[]> {
  const fresh: Promise<FreshLogin>[] = []
  for (const login of logins) {
    fresh.push(logIn(route, login))
    await pause(EVERY_MS)
  }
  return Promise.all(fresh)
}

async function logIn(route: Route, { name, password }: Login): Promise<FreshLogin> {
  const start = performance.now()
  const connection = await connect(route)
  const status = await connection.login(name, password)
  connection.close()
  return { ms: performance.now() - start, status }
}
