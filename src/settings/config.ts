// Parses settings from environment and command line into a Config.

import { resolve } from 'node:path'

import { ConfigError } from '../errors/errors.ts'
import { objectionToReusePort } from './reuse-port.ts'
import { flagOf, variableOf } from './setting.ts'
import { settingNames, settingOf, type SettingName, type SETTINGS } from './table.ts'

export type Config = {
  readonly [N in SettingName]: Extract<
    ReturnType<(typeof SETTINGS)[N]['parse']>,
    { readonly ok: true }
  >['value']
}

export interface Sources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Flags override the environment. */
  readonly flags?: Readonly<Partial<Record<SettingName, string>>>
  /** Values of a running `quickstart`, used instead of defaults. */
  readonly found?: Readonly<Partial<Record<SettingName, string>>>
}

/** An empty value counts as unset, as in compose files. Throws ConfigError with every problem. */
export function parseConfig({ env, flags = {}, found = {} }: Sources): Config {
  const problems = unknownVariables(env)
  const config: Record<string, unknown> = {}
  for (const name of settingNames()) {
    const fromFlag = flags[name]
    const text = fromFlag ?? env[variableOf(name)]
    const setting = settingOf(name)
    const result = setting.parse(text === '' || text === undefined ? (found[name] ?? setting.default) : text)
    const source = fromFlag === undefined ? variableOf(name) : flagOf(name)
    if (result.ok) config[name] = result.value
    else problems.push(`${source}: ${result.reason}`)
  }
  problems.push(
    ...incompleteTls({ env, flags }),
    ...uselessClientSettings({ env, flags }),
    ...missingProxies(config),
    ...sameFolder(config),
    ...unsupportedReusePort(config),
  )
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config) as Config
}

// Reads texts instead of parsed values, so that these problems are reported together with all others.
function incompleteTls({ env, flags = {} }: Sources): readonly string[] {
  const isSet = isSetIn({ env, flags })
  const [cert, key] = [variableOf('tlsCert'), variableOf('tlsKey')]
  if (isSet('tlsCert') && !isSet('tlsKey'))
    return [`${cert}: set ${key} too, to the certificate's private key`]
  if (isSet('tlsKey') && !isSet('tlsCert')) return [`${key}: set ${cert} too, to the certificate of this key`]
  if (!isSet('tlsKeyPasswordFile') || isSet('tlsKey')) return []
  return [`${variableOf('tlsKeyPasswordFile')}: set ${cert} and ${key} too; it is the password of that key`]
}

// The sidecar writes the state folder, but must only read the shared root.
function sameFolder({ stateDir, rootDir }: Readonly<Record<string, unknown>>): readonly string[] {
  if (typeof stateDir !== 'string' || typeof rootDir !== 'string') return []
  if (resolve(stateDir) !== resolve(rootDir)) return []
  return [`${variableOf('rootDir')}: choose another folder than ${variableOf('stateDir')}`]
}

function unsupportedReusePort({ reusePort }: Readonly<Record<string, unknown>>): readonly string[] {
  const objection = reusePort === true ? objectionToReusePort() : undefined
  return objection === undefined ? [] : [`${variableOf('reusePort')}: ${objection}`]
}

// Threat: these settings do nothing without a client CA, but the operator believes that they protect the registry.
function uselessClientSettings(sources: Sources): readonly string[] {
  const isSet = isSetIn(sources)
  if (isSet('tlsClientCa')) return []
  const hint = `set ${variableOf('tlsClientCa')} too, to the CA that signs your clients' certificates`
  const useless = (['tlsClientAuth', 'tlsClientName'] as const).filter(isSet)
  return useless.map((name) => `${variableOf(name)}: ${hint}`)
}

function missingProxies({
  trustedProxies,
  proxyProtocol,
}: Readonly<Record<string, unknown>>): readonly string[] {
  if (proxyProtocol !== 'on' || !Array.isArray(trustedProxies) || trustedProxies.length > 0) return []
  const hint = `set ${variableOf('trustedProxies')} too, to the addresses of your load balancer`
  return [`${variableOf('proxyProtocol')}: ${hint}; without them every connection is closed`]
}

export function isSetIn({ env, flags = {} }: Sources): (name: SettingName) => boolean {
  return (name) => (flags[name] ?? env[variableOf(name)] ?? '') !== ''
}

function unknownVariables(env: Sources['env']): string[] {
  const known = new Set(settingNames().map(variableOf))
  return Object.keys(env)
    .filter((variable) => variable.startsWith('SIDECAR_') && !known.has(variable))
    .map((variable) => `${variable}: no such setting. ${hintFor(variable)}`)
}

function hintFor(variable: string): string {
  // Kubernetes sets these variables in every pod for a Service named "sidecar".
  if (/^SIDECAR_(SERVICE_|PORT)/.test(variable)) {
    return 'If Kubernetes sets it, write enableServiceLinks: false in the pod'
  }
  return 'To find the right name, run `registry-sidecar serve --help`'
}
