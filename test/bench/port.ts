// Starts programs that cannot choose a free port themselves.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { endChild } from './children.ts'

const START_TIMEOUT_MS = 15_000
const ATTEMPTS = 3

export interface Listening {
  readonly child: ChildProcess
  readonly port: number
}

/** Starts a program on a free loopback port, and retries if another process takes the port first. */
export async function startOnFreePort(
  start: (port: number) => ChildProcess,
  logFile: string,
): Promise<Listening> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const child = start(port)
    if (await accepts(child, port)) return { child, port }
    endChild(child)
    if (attempt === ATTEMPTS) throw new Error(`the program does not listen: ${tail(logFile)}`)
  }
}

export async function freePort(): Promise<number> {
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function accepts(child: ChildProcess, port: number): Promise<boolean> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (performance.now() < deadline && child.pid !== undefined && child.exitCode === null) {
    if (await connects(port)) return true
    await pause(5)
  }
  return false
}

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => {
      resolve(true)
      socket.destroy()
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

function tail(file: string): string {
  return readFileSync(file, 'utf8').slice(-2000)
}
