// Registry key: what clients call the registry, which is also the name under which their settings look it up.

import { isIPv6 } from 'node:net'
import type { Config } from '../../settings/config.ts'
import { ConfigError } from '../../errors/errors.ts'
import { variableOf } from '../../settings/setting.ts'
import { parseHostName, type SubjectAltName } from '../../pki/names.ts'
import type { RegistryKeys } from '../../client-setup/client-setup.ts'

/**
 * Every key under which clients may look this registry up. On port 443 there are two, since people write that port or leave it out, and clients take these for different registries.
 *
 * @throws ConfigError when the port is known only to the running sidecar
 */
export function registryKeys(
  { hosts, listen }: Pick<Config, 'hosts' | 'listen'>,
  hostname: string,
): RegistryKeys {
  if (listen.port === 0) {
    throw new ConfigError([
      `${variableOf('listen')} lets the system pick the port: say which one with --host HOST:PORT`,
    ])
  }
  const [name = hostname] = namesOf(hosts)
  return keysOf(name, listen.port)
}

/**
 * The keys of every name that is known to be in use: those of the settings, and localhost.
 *
 * @throws ConfigError when the port is known only to the running sidecar
 */
export function keysInUse({ hosts, listen }: Pick<Config, 'hosts' | 'listen'>): RegistryKeys {
  const local = registryKeys({ hosts: [], listen }, LOCAL)
  const [first, ...others] = namesOf(hosts).filter((name) => name !== LOCAL)
  if (first === undefined) return local
  return [...keysOf(first, listen.port), ...others.flatMap((name) => keysOf(name, listen.port)), ...local]
}

const LOCAL = 'localhost'

// A pattern is no name that clients use.
function namesOf(hosts: Config['hosts']): readonly string[] {
  return hosts.map(({ value }) => value).filter((value) => !value.startsWith('*.'))
}

function keysOf(name: string, port: number): RegistryKeys {
  const host = isIPv6(name) ? `[${name}]` : name
  return port === 443 ? [`${host}:443`, host] : [`${host}:${port}`]
}

export interface RegistryAddress {
  /** As the person wrote it: clients look it up under that and nothing else. */
  readonly key: string
  /** The host in the form of certificates. */
  readonly name: SubjectAltName
  readonly port: number
}

// What clients take when no port is written.
const HTTPS_PORT = 443

/**
 * Reads what a person gave as `host` or `host:port`.
 *
 * @throws ConfigError when it is neither
 */
export function parseRegistryAddress(text: string): RegistryAddress {
  const [, bracketed, plain, port] = /^(?:(\[[^\]]*\])|([^:]*))(?::(\d+))?$/.exec(text) ?? []
  const name = bracketed ?? plain
  if (name === undefined) {
    throw new ConfigError([
      `--host: "${text}" is no host or host:port: write proxy:8443, or [2001:db8::1]:8443`,
    ])
  }
  const parsed = parseHostName(name)
  if (!parsed.ok) throw new ConfigError([`--host: ${parsed.reason}`])
  if (name.includes('*'))
    throw new ConfigError([`--host: "${text}" is a pattern: give one of the names it stands for`])
  if (port !== undefined && !isPort(port))
    throw new ConfigError([`--host: "${text}": ports go from 1 to 65535`])
  return { key: text, name: parsed.name, port: port === undefined ? HTTPS_PORT : Number(port) }
}

function isPort(digits: string): boolean {
  return Number(digits) >= 1 && Number(digits) <= 65_535
}
