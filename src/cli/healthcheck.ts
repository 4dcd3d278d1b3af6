// Runs `healthcheck`: asks the running sidecar whether it is ready.

import type { Config } from '../settings/config.ts'
import type { ExitCode, World } from '../app/world.ts'
import { adminAddressOf, askAdminAddress } from './admin-address.ts'

export async function healthcheck(config: Config, { stdout }: World): Promise<ExitCode> {
  const { status, body } = await askAdminAddress(adminAddressOf(config, 'healthcheck'), { path: '/readyz' })
  stdout.write(body.endsWith('\n') ? body : `${body}\n`)
  return status === 200 ? 0 : 1
}
