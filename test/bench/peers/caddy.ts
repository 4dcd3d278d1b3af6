// Starts Caddy as a peer.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { findProgram } from '../../fixtures/find-program.ts'
import { runChild, startChild } from '../children.ts'
import { startOnFreePort } from '../port.ts'
import type { Peer } from '../subject.ts'

export const caddy: Peer = {
  name: 'caddy',
  about: 'basic auth with bcrypt (Caddy remembers verified logins) and `reverse_proxy`, defaults otherwise',
  program: findProgram('caddy'),
  version: async (program) =>
    `Caddy ${/v?(\d[\d.]*)/.exec(await runChild([program, 'version']))?.[1] ?? '?'}`,
  start: async (program, environment, registryPort) => {
    const folder = path.join(environment.folder, 'caddy')
    mkdirSync(folder)
    const logFile = path.join(folder, 'log')
    const config = path.join(folder, 'Caddyfile')
    // Caddy 2.8 renamed `basicauth` to `basic_auth`.
    const [, major, minor] = /v?(\d+)\.(\d+)/.exec(await runChild([program, 'version'])) ?? []
    const directive = Number(major) > 2 || Number(minor) >= 8 ? 'basic_auth' : 'basicauth'
    const { user, identity } = environment
    return startOnFreePort((port) => {
      writeFileSync(
        config,
        `{
  admin off
  auto_https off
}
https://:${port} {
  bind 127.0.0.1
  tls ${identity.leaf} ${identity.key}
  ${directive} {
    ${user.name} ${user.hash}
  }
  reverse_proxy 127.0.0.1:${registryPort}
}
`,
      )
      const env = { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
      return startChild([program, 'run', '--adapter', 'caddyfile', '--config', config], { logFile, env })
    }, logFile)
  },
}
