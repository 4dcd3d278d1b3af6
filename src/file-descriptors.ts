// How many connections there are file descriptors for.
//
// Without one nothing can be accepted, the registry not reached, and the users file not read: who opened enough idle
// connections could keep a removed user in. So connections stop where that would begin.

import { readFile } from 'node:fs/promises'
import { errorMessage } from './errors.ts'
import type { Log } from './log.ts'

// One for the client, one for the registry while a request is with it.
const DESCRIPTORS_PER_CONNECTION = 2

// What the process itself has open (about 30, and 6 for each thread that checks passwords), files being read, and the
// connections of the admin address.
const RESERVED = 256

// Below it nothing would work at all; whoever allows so few files runs into that limit first.
const LEAST_CONNECTIONS = 16

/** How many files this process may have open. Undefined where the system does not say, or sets no limit. */
export async function openFilesLimit(): Promise<number | undefined> {
  // Node has raised the soft limit to the hard one by the time it runs our code.
  const text = await readFile('/proc/self/limits', 'utf8').catch(errorMessage)
  const limit = Number(/^Max open files +(\d+)/m.exec(text)?.[1])
  return Number.isNaN(limit) ? undefined : limit
}

/** How many connections that many open files allow for; warns when more are wanted. `off` wants what there is. */
export function affordableConnections(
  { wanted, openFiles }: { readonly wanted: number | 'off'; readonly openFiles: number | undefined },
  log: Log,
): number {
  if (openFiles === undefined) return Infinity
  const affordable = Math.max(
    LEAST_CONNECTIONS,
    Math.floor((openFiles - RESERVED) / DESCRIPTORS_PER_CONNECTION),
  )
  if (wanted !== 'off' && wanted > affordable) {
    const needed = wanted * DESCRIPTORS_PER_CONNECTION + RESERVED
    log.warn(
      { openFiles, connections: affordable, wanted },
      `too few open files allowed for SIDECAR_MAX_CONNECTIONS: ulimit -n ${needed} ` +
        `(docker: --ulimit nofile=${needed}, systemd: LimitNOFILE=${needed})`,
    )
  }
  return affordable
}
