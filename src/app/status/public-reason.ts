// Removes the names of files from reasons.

import type { Config } from '../../settings/config.ts'
import { variableOf } from '../../settings/setting.ts'

const FILES = ['users', 'access', 'tlsCert', 'tlsKey', 'tlsKeyPasswordFile', 'tlsClientCa'] as const
const FOLDERS = ['stateDir', 'rootDir'] as const

export type NamedFiles = Pick<Config, (typeof FILES)[number] | (typeof FOLDERS)[number]>

export type PublicReason = (reason: string) => string

/**
 * Replaces each file name by its setting, and removes the names of the state folders.
 * Threat: the admin address shows reasons without a login.
 */
export function createPublicReason(config: NamedFiles): PublicReason {
  const names = new Map<string, string>()
  for (const setting of FOLDERS) addName(names, `${config[setting] ?? ''}/`, '')
  for (const setting of FILES) addName(names, config[setting], variableOf(setting))
  const longestFirst = [...names.keys()].sort((one, other) => other.length - one.length)
  // A relative name such as `state` may also be the end of another name.
  const pattern = new RegExp(`(?<![\\w./-])(?:${longestFirst.map(escaped).join('|')})`, 'g')
  return (reason) => reason.replace(pattern, (name) => names.get(name) ?? '')
}

function addName(names: Map<string, string>, name: string | undefined, shown: string): void {
  if (name !== undefined && name !== '' && name !== '/') names.set(name, shown)
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
