// Starts the registry as a peer or as the upstream.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { findProgram } from '../../fixtures/find-program.ts'
import { runChild, startChild } from '../children.ts'
import { startOnFreePort } from '../port.ts'
import type { Environment } from '../environment.ts'
import type { Peer, Started } from '../subject.ts'

export const registryProgram = findProgram('docker-registry', 'registry')

/** Uses the registry's own TLS and htpasswd, without a proxy. */
export const registryItself: Peer = {
  name: 'registry',
  about: "the registry's own `http.tls` and `auth.htpasswd`; its CPU and RSS include the storing",
  program: registryProgram,
  version: registryVersion,
  start: (program, environment) => {
    const { leaf, key } = environment.identity
    return startRegistry(program, environment, {
      name: 'registry',
      tls: { certificate: leaf, key },
      auth: { htpasswd: { realm: 'Registry', path: environment.usersFile } },
    })
  },
}

/** Starts the upstream of the proxies, without TLS and login. */
export function startBareRegistry(program: string, environment: Environment): Promise<Started> {
  return startRegistry(program, environment, { name: 'bare-registry' })
}

interface RegistrySettings {
  readonly name: string
  readonly tls?: object
  readonly auth?: object
}

function startRegistry(
  program: string,
  environment: Environment,
  { name, tls, auth }: RegistrySettings,
): Promise<Started> {
  const folder = path.join(environment.folder, name)
  mkdirSync(folder)
  const config = path.join(folder, 'config.json')
  const logFile = path.join(folder, 'log')
  return startOnFreePort((port) => {
    writeFileSync(
      config,
      JSON.stringify({
        version: '0.1',
        log: { level: 'warn', accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: environment.dataFolder }, delete: { enabled: true } },
        http: { addr: `127.0.0.1:${port}`, secret: 'bench', tls },
        auth,
      }),
    )
    return startChild([program, 'serve', config], { logFile, env: { OTEL_TRACES_EXPORTER: 'none' } })
  }, logFile)
}

export async function registryVersion(program: string): Promise<string> {
  const text = await runChild([program, '--version'])
  return `distribution ${/\s(v?\d\S*)/.exec(text)?.[1] ?? '?'}`
}
