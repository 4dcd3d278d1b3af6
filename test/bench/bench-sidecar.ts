// Starts a sidecar of the build for a benchmark that measures one process.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Host } from '../fixtures/crowd.ts'
import { startChild } from './children.ts'

const MAIN = path.join(import.meta.dirname, '..', '..', 'dist', 'main.js')

export interface BenchSidecar {
  readonly host: Host
  readonly pid: number
  readonly kill: () => void
}

export interface BenchSidecarOptions {
  readonly node: string
  /** Has the users file, and keeps the state. */
  readonly folder: string
  readonly registryPort: number
  readonly env?: Readonly<Record<string, string>>
}

export async function startBenchSidecar({
  node,
  folder,
  registryPort,
  env,
}: BenchSidecarOptions): Promise<BenchSidecar> {
  const logFile = path.join(folder, 'log')
  writeFileSync(logFile, '')
  const settings = {
    SIDECAR_UPSTREAM: `http://127.0.0.1:${registryPort}`,
    SIDECAR_LISTEN: '127.0.0.1:0',
    SIDECAR_ADMIN_LISTEN: 'off',
    SIDECAR_LOG_FORMAT: 'json',
    ...env,
  }
  const child = startChild([node, MAIN, 'serve'], { cwd: folder, env: settings, logFile })
  let port: string | undefined
  while (port === undefined) {
    if (child.exitCode !== null) throw new Error(readFileSync(logFile, 'utf8'))
    await pause(20)
    port = /"tls":"127\.0\.0\.1:(\d+)"/.exec(readFileSync(logFile, 'utf8'))?.[1]
  }
  const ca = readFileSync(path.join(folder, 'state/root.crt'))
  return { host: { port: Number(port), ca }, pid: child.pid ?? 0, kill: () => child.kill('SIGKILL') }
}
