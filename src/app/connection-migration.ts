// Warns if the kernel resets connections when a process leaves a port.

import { readFile } from 'node:fs/promises'
import type { Log } from '../observability/log.ts'

// With the value 1, the kernel moves connections that the leaving process has not accepted to another process
// (Linux 5.14, ip-sysctl.rst).
const MIGRATION_SWITCH = '/proc/sys/net/ipv4/tcp_migrate_req'

export async function checkConnectionMigration(log: Log, file = MIGRATION_SWITCH): Promise<void> {
  const state = await readFile(file, 'utf8').catch(() => 'missing')
  if (state.trim() === '1') return
  log.warn(
    {
      event: 'connections-not-migrated',
      hint: 'run sysctl -w net.ipv4.tcp_migrate_req=1 (Linux 5.14 or later)',
    },
    'when a sidecar leaves the shared port, the kernel resets connections that are being opened',
  )
}
