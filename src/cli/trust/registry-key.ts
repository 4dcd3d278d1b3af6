// Parses and lists registry keys, the `host:port` that clients use.

import { isIPv6 } from 'node:net'
import type { Config } from '../../settings/config.ts'
import { ConfigError } from '../../errors/errors.ts'
import { variableOf } from '../../settings/setting.ts'
import { parseHostName, type SubjectAltName } from '../../pki/names.ts'
import type { RegistryKeys } from '../../client-setup/client-setup.ts'

/** Throws a ConfigError if only the running sidecar knows the port. */
export function registryKeys(
  { hosts, listen }: Pick<Config, 'hosts' | 'listen'>,
  hostname: string,
): RegistryKeys {
  if (listen.port === 0) {
    throw new ConfigError([
      `${variableOf('listen')} lets the system choose the port: give the port with --host HOST:PORT`,
    ])
  }
  const [name = hostname] = namesOf(hosts)
  return keysOf(name, listen.port)
}

/** The keys of the names in the settings, and of localhost. Throws like `registryKeys`. */
export function keysInUse({ hosts, listen }: Pick<Config, 'hosts' | 'listen'>): RegistryKeys {
  const local = registryKeys({ hosts: [], listen }, LOCAL)
  const [first, ...others] = namesOf(hosts).filter((name) => name !== LOCAL)
  if (first === undefined) return local
  return [...keysOf(first, listen.port), ...others.flatMap((name) => keysOf(name, listen.port)), ...local]
}

const LOCAL = 'localhost'

// Clients never use a wildcard as a name.
function namesOf(hosts: Config['hosts']): readonly string[] {
  return hosts.map(({ value }) => value).filter((value) => !value.startsWith('*.'))
}

// Clients treat `HOST` and `HOST:443` as different registries.
function keysOf(name: string, port: number): RegistryKeys {
  const host = isIPv6(name) ? `[${name}]` : name
  return port === 443 ? [`${host}:443`, host] : [`${host}:${port}`]
}

export interface RegistryAddress {
  /** The text as a person wrote it, because clients look up exactly this text. */
  readonly key: string
  /** The host in canonical form. */
  readonly name: SubjectAltName
  readonly port: number
}

const HTTPS_PORT = 443

/** Parses `host` or `host:port`. Throws a ConfigError for any other text. */
export function parseRegistryAddress(text: string): RegistryAddress {
  const [, bracketed, plain, port] = /^(?:(\[[^\]]*\])|([^:]*))(?::(\d+))?$/.exec(text) ?? []
  const name = bracketed ?? plain
  if (name === undefined) {
    throw new ConfigError([
      `--host: "${text}" is not host or host:port: write proxy:8443, or [2001:db8::1]:8443`,
    ])
  }
  const parsed = parseHostName(name)
  if (!parsed.ok) throw new ConfigError([`--host: ${parsed.reason}`])
  if (name.includes('*'))
    throw new ConfigError([`--host: "${text}" is a wildcard: give one of the names that it covers`])
  if (port !== undefined && !isPort(port))
    throw new ConfigError([`--host: "${text}": ports go from 1 to 65535`])
  return { key: text, name: parsed.name, port: port === undefined ? HTTPS_PORT : Number(port) }
}

function isPort(digits: string): boolean {
  return Number(digits) >= 1 && Number(digits) <= 65_535
}
