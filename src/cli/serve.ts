// Runs `serve`: starts the sidecar and waits for a signal.

import type { Config } from '../settings/config.ts'
import type { BoundAddress } from '../http/bind.ts'
import { runUntilStopped } from '../app/lifecycle.ts'
import { createLog, type Log } from '../observability/log.ts'
import { addressText } from '../upstream/connect/registry-address.ts'
import { createSidecar, type Sidecar } from '../app/sidecar.ts'
import type { ExitCode, World } from '../app/world.ts'

export interface ServeOptions {
  readonly onReady?: (sidecar: Sidecar) => Promise<void>
}

export async function serve(config: Config, world: World, { onReady }: ServeOptions = {}): Promise<ExitCode> {
  const format = config.logFormat ?? (world.stdout.isTTY === true ? 'pretty' : 'json')
  const log = createLog({ level: config.logLevel, format, destination: world.stdout })
  const sidecar = await createSidecar(config, log, { stdout: world.stdout })
  const { onSignal, onUncaughtError } = world
  // Signals must work before the ready message, because its reader may send a signal at once.
  const { drainTimeout: drainTimeoutMs, drainDelay: drainDelayMs } = config
  const stopped = runUntilStopped(sidecar, { drainTimeoutMs, drainDelayMs, log, onSignal, onUncaughtError })
  announce(log, config, sidecar)
  await onReady?.(sidecar)
  return stopped
}

function announce(log: Log, config: Config, { address, adminAddress, certificate, users }: Sidecar): void {
  log.info(
    {
      event: 'ready',
      tls: format(address),
      admin: adminAddress === undefined ? 'off' : format(adminAddress),
      upstream: addressText(config.upstream),
      certificate: certificate.origin,
      root: certificate.root?.file,
      fingerprint: certificate.root?.fingerprint,
      users: users.table.entries.size,
    },
    'ready to serve',
  )
  if (users.table.entries.size === 0) {
    log.warn(
      { event: 'no-users-yet', file: users.file },
      `no users yet, so every login fails; add the first: registry-sidecar user add NAME --users ${users.file}`,
    )
  }
  log.info(
    { event: 'how-to-trust' },
    'to make clients trust this certificate: registry-sidecar trust --host NAME:PORT',
  )
}

function format({ host, port }: BoundAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
