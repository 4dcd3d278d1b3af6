// Runs `top`: shows the live status in a terminal.

import type { Config } from '../../settings/config.ts'
import type { ExitCode, World } from '../../app/world.ts'
import { adminAddressOf } from '../admin-address.ts'
import { fetchStatus } from './fetch-status.ts'
import { showLive } from './live-screen.ts'
import { printableJson } from '../printable.ts'
import { statusLines } from './status-lines.ts'

// For output that is not a terminal.
const PLAIN = { columns: 1_000, rows: 20 } as const

export async function top(
  config: Config,
  { json }: { readonly json: boolean },
  world: World,
): Promise<ExitCode> {
  const place = { to: adminAddressOf(config, 'top'), stateDir: config.stateDir }
  const first = await fetchStatus(place)
  if (first.note !== undefined) world.stderr.write(`registry-sidecar: names are not shown: ${first.note}\n`)
  if (json) {
    world.stdout.write(printableJson(first.json))
    return 0
  }
  if (world.stdout.isTTY !== true) {
    world.stdout.write(`${statusLines(first.snapshot, PLAIN).join('\n')}\n`)
    return 0
  }
  return showLive(world, { first, fetch: () => fetchStatus(place) })
}
