// Checks that the sidecar can bind its addresses.

import { createServer } from 'node:net'
import type { Config } from '../../settings/config.ts'
import { bind } from '../../http/bind.ts'
import { variableOf } from '../../settings/setting.ts'

/** Rejects with a CommandError that names the setting when an address cannot be bound. */
export async function assertPortsFree({ listen, adminListen }: Config): Promise<void> {
  await bindOnce({ ...listen, setting: variableOf('listen') })
  if (adminListen !== 'off') await bindOnce({ ...adminListen, setting: variableOf('adminListen') })
}

async function bindOnce(address: Parameters<typeof bind>[1]): Promise<void> {
  const server = createServer()
  await bind(server, address)
  await new Promise((resolve) => server.close(resolve))
}
