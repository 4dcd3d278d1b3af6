// Starts the built sidecar as a peer.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { runChild, startChild } from '../children.ts'
import type { Peer, Started } from '../subject.ts'
import type { Environment } from '../environment.ts'

const MAIN = path.join(import.meta.dirname, '..', '..', '..', 'dist', 'main.js')
const START_TIMEOUT_MS = 15_000

/** Runs `dist/main.js` with this Node binary and these Node arguments. */
export function sidecarOn(name: string, node: string, nodeArgs: readonly string[] = []): Peer {
  return {
    name,
    about: 'all defaults',
    program: node,
    version: async (program) => `Node ${(await runChild([program, '--version'])).trim().slice(1)}`,
    start: (program, environment, registryPort) =>
      start([program, ...nodeArgs], { name, environment, registryPort }),
  }
}

interface StartOptions {
  readonly name: string
  readonly environment: Environment
  readonly registryPort: number
}

async function start(
  node: readonly [string, ...string[]],
  { name, environment, registryPort }: StartOptions,
): Promise<Started> {
  if (!existsSync(MAIN)) throw new Error('dist/main.js is missing: run `npm run build` first')
  const logFile = path.join(environment.folder, `${name}.log`)
  // The log of an earlier process has another port.
  writeFileSync(logFile, '')
  const env = {
    NODE_ENV: 'production',
    SIDECAR_UPSTREAM: `http://127.0.0.1:${registryPort}`,
    SIDECAR_LISTEN: '127.0.0.1:0',
    SIDECAR_ADMIN_LISTEN: '127.0.0.1:0',
    SIDECAR_USERS: environment.usersFile,
    SIDECAR_STATE_DIR: path.dirname(environment.identity.leaf),
    SIDECAR_LOG_FORMAT: 'json',
  }
  const child = startChild([...node, MAIN, 'serve'], { cwd: environment.folder, env, logFile })
  const deadline = performance.now() + START_TIMEOUT_MS
  while (performance.now() < deadline && child.exitCode === null) {
    const port = /"tls":"127\.0\.0\.1:(\d+)"/.exec(readFileSync(logFile, 'utf8'))?.[1]
    if (port !== undefined) return { child, port: Number(port) }
    await pause(5)
  }
  throw new Error(`the sidecar does not start: ${readFileSync(logFile, 'utf8')}`)
}
