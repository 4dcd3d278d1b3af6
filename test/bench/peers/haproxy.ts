// Starts HAProxy as a peer.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { findProgram } from '../../fixtures/find-program.ts'
import { endChild, runChild, startChild } from '../children.ts'
import { statusOf } from '../curl.ts'
import { startOnFreePort } from '../port.ts'
import type { Environment } from '../environment.ts'
import type { Peer, Started } from '../subject.ts'

export const haproxy: Peer = {
  name: 'haproxy',
  about: 'a userlist with the bcrypt hash, a thread per core, no log',
  program: findProgram('haproxy'),
  version: async (program) =>
    `HAProxy ${/version (\S+?)-/.exec(await runChild([program, '-v']))?.[1] ?? '?'}`,
  start: async (program, environment, registryPort) => {
    const started = await start(program, environment, { registryPort, hasLogin: true })
    if ((await statusOf(environment, { port: started.port, isGuarded: true })) === 200) return started
    endChild(started.child)
    const open = await start(program, environment, { registryPort, hasLogin: false })
    return { ...open, note: "without login: this system's crypt() knows no bcrypt" }
  },
}

interface Choice {
  readonly registryPort: number
  readonly hasLogin: boolean
}

function start(
  program: string,
  environment: Environment,
  { registryPort, hasLogin }: Choice,
): Promise<Started> {
  const folder = path.join(environment.folder, hasLogin ? 'haproxy' : 'haproxy-open')
  mkdirSync(folder)
  const [logFile, config, pem] = ['log', 'haproxy.cfg', 'leaf.pem'].map((name) =>
    path.join(folder, name),
  ) as [string, string, string]
  const { user, identity } = environment
  writeFileSync(pem, readFileSync(identity.leaf, 'utf8') + readFileSync(identity.key, 'utf8'), {
    mode: 0o600,
  })
  return startOnFreePort((port) => {
    writeFileSync(
      config,
      `defaults
  mode http
  timeout connect 10s
  timeout client 15m
  timeout server 15m
userlist users
  user ${user.name} password ${user.hash}
frontend tls
  bind 127.0.0.1:${port} ssl crt ${pem} alpn http/1.1
  ${hasLogin ? 'http-request auth realm Registry unless { http_auth(users) }' : ''}
  http-request set-header X-Forwarded-Proto https
  default_backend registry
backend registry
  server registry 127.0.0.1:${registryPort}
`,
    )
    return startChild([program, '-db', '-f', config], { logFile })
  }, logFile)
}
