// Connects commander's options to settings.

import { Option, type Command } from 'commander'
import { ConfigError } from '../../errors/errors.ts'
import { parseConfig, type Config, type Sources } from '../../settings/config.ts'
import { flagOf, variableOf } from '../../settings/setting.ts'
import { settingNames, settingOf, TOPICS, type SettingName } from '../../settings/table.ts'
import type { RecordedName } from '../quickstart/record.ts'
import { settingsInForce } from '../settings-in-force.ts'
import type { ExitCode, World } from '../../app/world.ts'

export type Flags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>

export interface Wiring {
  readonly world: World
  /** Call it with the exit code when the command has run. */
  readonly finish: (code: ExitCode) => void
}

/** Add a command's own options first, because help keeps this order. */
export function withSettings(command: Command, names: readonly SettingName[]): Command {
  for (const name of names) command.addOption(settingOption(name).helpGroup('Settings:'))
  return command
}

export function withAllSettings(command: Command): Command {
  for (const { title, names } of TOPICS) {
    for (const name of names) command.addOption(settingOption(name).helpGroup(`${title}:`))
  }
  return command
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print one JSON document')
}

export function sourcesOf(world: World, flags: Flags): Sources {
  const given = settingNames().flatMap((name) => {
    const value = flags[name]
    return typeof value === 'string' ? [[name, value] as const] : []
  })
  return { env: world.env, flags: Object.fromEntries(given) }
}

export function configOf(world: World, flags: Flags): Config {
  return parseConfig(sourcesOf(world, flags))
}

/** Unset settings in `names` come from a running quickstart, and a note on stderr says so. */
export async function configInForce(
  world: World,
  flags: Flags,
  names: readonly RecordedName[],
): Promise<Config> {
  const { config, taken, ignored } = await settingsInForce(sourcesOf(world, flags), names)
  for (const note of [taken, ignored]) {
    if (note !== undefined) world.stderr.write(`registry-sidecar: ${note}\n`)
  }
  return config
}

export interface UsersPlace {
  readonly file: string
  readonly stateDir: string
  readonly problems: readonly string[]
}

/** Never throws a ConfigError, so that a command can report these problems together with those of its arguments. */
export function usersFile(world: World, flags: Flags): UsersPlace {
  try {
    const { users, stateDir } = configOf(world, flags)
    return { file: users, stateDir, problems: [] }
  } catch (error) {
    if (error instanceof ConfigError) return { file: '', stateDir: '', problems: error.problems }
    throw error
  }
}

export function textOf(value: Flags[string]): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Returns the texts of a flag that uses `collect`. */
export function textsOf(value: Flags[string]): readonly string[] {
  return Array.isArray(value) ? (value as readonly string[]) : []
}

/** For an option that may be given several times. */
export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}

function settingOption(name: SettingName): Option {
  const { default: fallback, form, meaning } = settingOf(name)
  const source = fallback === '' ? variableOf(name) : `${variableOf(name)}, default ${fallback}`
  return new Option(`${flagOf(name)} <${form}>`, `${meaning} (${source})`)
}
