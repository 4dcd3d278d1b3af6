// Writes the next steps that quickstart prints.

import { resolve } from 'node:path'
import type { Config } from '../../settings/config.ts'
import type { Sidecar } from '../../app/sidecar.ts'
import type { ClientTrust, RegistryKeys } from '../../client-setup/client-setup.ts'
import { clientsHere } from '../../client-setup/clients.ts'
import { isLoopbackAddress } from '../../pki/names.ts'
import type { Machine } from '../this-machine.ts'
import { registryKeys } from '../trust/registry-key.ts'

export interface FirstSteps {
  readonly config: Config
  readonly sidecar: Sidecar
  readonly machine: Machine
}

export function firstSteps({ config, sidecar, machine }: FirstSteps): string {
  const { address } = sidecar
  const listen = { host: address.host, port: address.port }
  const [local] = registryKeys({ hosts: [], listen }, 'localhost')
  const byName = isLoopbackAddress(address.host)
    ? []
    : [registryKeys({ hosts: config.hosts, listen }, machine.hostname)]
  // Then clients use the name of the load balancer, which quickstart does not know.
  const isBehindProxy = config.proxyProtocol === 'on'
  return [
    '',
    ...trustSteps({ config, sidecar, machine }, isBehindProxy ? [] : [[local], ...byName]),
    ...(isBehindProxy ? proxySteps(local) : pushSteps(local, sidecar)),
    'To add users while this runs: node dist/main.js user add NAME. Ctrl-C stops it.',
    '',
    '',
  ].join('\n')
}

function pushSteps(key: string, { users }: Sidecar): readonly string[] {
  const username = users.table.entries.keys().next().value ?? 'NAME'
  return [
    '2. Log in',
    ...commands([`docker login ${key} -u ${username}`]),
    '3. Tag and push',
    ...commands([
      'docker pull hello-world',
      `docker tag hello-world ${key}/hello-world`,
      `docker push ${key}/hello-world`,
    ]),
  ]
}

function proxySteps(key: string): readonly string[] {
  return [
    '2. Log in, tag and push under the name of the load balancer',
    `   SIDECAR_PROXY_PROTOCOL is on, so the sidecar closes connections that clients open to ${key} directly.`,
  ]
}

function trustSteps(
  { config, sidecar, machine }: FirstSteps,
  keysByName: readonly RegistryKeys[],
): readonly string[] {
  const { root } = sidecar.certificate
  // With the operator's certificate, quickstart does not know which root the clients need.
  if (config.tlsCert !== undefined || root === undefined) {
    return [`1. Make sure that clients trust ${config.tlsCert ?? 'the certificate'}: node dist/main.js trust`]
  }
  const file = resolve(root.file)
  return [
    `1. Trust the root certificate ${file}`,
    `   SHA-256 ${root.fingerprint}`,
    ...keysByName.flatMap((keys) =>
      clientsHere({ keys, file, machine }).flatMap((client) => step(keys[0], client)),
    ),
    '   Other clients and machines: node dist/main.js trust',
  ]
}

function step(key: string, { client, commands: list }: ClientTrust): readonly string[] {
  if (client === 'docker' && key.startsWith('localhost:')) {
    return [`   docker, ${key}: needs nothing, because dockerd does not verify certificates on 127.0.0.0/8`]
  }
  return [`   ${client}, ${key}:`, ...commands(list)]
}

function commands(list: readonly string[]): readonly string[] {
  return list.map((command) => `     ${command}`)
}
