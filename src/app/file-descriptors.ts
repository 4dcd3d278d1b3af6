// Limits connections to the file descriptors that the process may open.
// Threat: idle connections use all descriptors. Then the users file cannot be read, and a removed user keeps access.

import { readFile } from 'node:fs/promises'
import { errorMessage } from '../errors/errors.ts'
import type { Log } from '../observability/log.ts'

// One descriptor for the client, and one for the registry during a request.
const DESCRIPTORS_PER_CONNECTION = 2

// Kept for the process (about 30, and 6 for each bcrypt thread), files, and connections to the admin address.
const RESERVED = 256

const MIN_CONNECTIONS = 16

/** Undefined if the system reports no limit. */
export async function openFilesLimit(): Promise<number | undefined> {
  // Node has raised the soft limit to the hard limit already.
  const text = await readFile('/proc/self/limits', 'utf8').catch(errorMessage)
  const limit = Number(/^Max open files +(\d+)/m.exec(text)?.[1])
  return Number.isNaN(limit) ? undefined : limit
}

export function affordableConnections(
  { wanted, openFiles }: { readonly wanted: number | 'off'; readonly openFiles: number | undefined },
  log: Log,
): number {
  if (openFiles === undefined) return Infinity
  const affordable = Math.max(
    MIN_CONNECTIONS,
    Math.floor((openFiles - RESERVED) / DESCRIPTORS_PER_CONNECTION),
  )
  if (wanted !== 'off' && wanted > affordable) {
    const needed = wanted * DESCRIPTORS_PER_CONNECTION + RESERVED
    log.warn(
      { event: 'open-files-limit-too-low', openFiles, connections: affordable, wanted },
      `the open files limit is too low for SIDECAR_MAX_CONNECTIONS; set ulimit -n ${needed} ` +
        `(docker: --ulimit nofile=${needed}, systemd: LimitNOFILE=${needed})`,
    )
  }
  return affordable
}
