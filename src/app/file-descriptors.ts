// Limits connections to the file descriptors that the process may open.
//
// Threat: a client opens idle connections until no descriptor is left. Then the sidecar cannot accept, reach the registry
// or read the users file, so a removed user keeps access.

import { readFile } from 'node:fs/promises'
import { errorMessage } from '../errors/errors.ts'
import type { Log } from '../observability/log.ts'

// One to the client, and one to the registry during a request.
const DESCRIPTORS_PER_CONNECTION = 2

// For the process itself (about 30, and 6 for each bcrypt thread), files, and connections to the admin address.
const RESERVED = 256

// A minimum, so that a tiny ulimit still allows some connections.
const MIN_CONNECTIONS = 16

/** How many files this process may open. Undefined if the system does not say or sets no limit. */
export async function openFilesLimit(): Promise<number | undefined> {
  // Node raises the soft limit to the hard limit before it runs this code.
  const text = await readFile('/proc/self/limits', 'utf8').catch(errorMessage)
  const limit = Number(/^Max open files +(\d+)/m.exec(text)?.[1])
  return Number.isNaN(limit) ? undefined : limit
}

/** How many connections `openFiles` allows; warns if `wanted` is more. `off` never warns. */
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
      { openFiles, connections: affordable, wanted },
      `the open files limit is too low for SIDECAR_MAX_CONNECTIONS; set ulimit -n ${needed} ` +
        `(docker: --ulimit nofile=${needed}, systemd: LimitNOFILE=${needed})`,
    )
  }
  return affordable
}
