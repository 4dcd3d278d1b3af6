// Reads settings from flags, variables and a running quickstart.

import { isSetIn, parseConfig, type Config, type Sources } from '../settings/config.ts'
import { variableOf } from '../settings/setting.ts'
import { settingOf } from '../settings/table.ts'
import { ownUid } from './this-machine.ts'
import { readRecord, recordIn, type RecordedName, type RecordedSettings } from './quickstart/record.ts'

export interface SettingsInForce {
  readonly config: Config
  /** A message: which settings come from a quickstart. */
  readonly taken?: string
  /** A message: why the record of a quickstart is ignored. */
  readonly ignored?: string
}

/** Takes settings in `names` without a flag or variable from the running quickstart. Rejects with a ConfigError. */
export async function settingsInForce(
  sources: Sources,
  names: readonly RecordedName[],
): Promise<SettingsInForce> {
  const config = parseConfig(sources)
  const record = await readRecord(config.stateDir, ownUid())
  const file = recordIn(config.stateDir)
  switch (record.kind) {
    case 'none':
      return { config }
    case 'unusable':
      return { config, ignored: `${file} is ignored: ${record.reason}` }
    case 'found': {
      const found = onlyUnset(record.settings, { sources, names })
      const taken = Object.entries(found).map(([name, text]) => `${variableOf(name)}=${text}`)
      if (taken.length === 0) return { config }
      return {
        config: parseConfig({ ...sources, found }),
        taken: `using ${taken.join(', ')} from the running quickstart (${file})`,
      }
    }
  }
}

interface UnsetLookup {
  readonly sources: Sources
  readonly names: readonly RecordedName[]
}

function onlyUnset(recorded: RecordedSettings, { sources, names }: UnsetLookup): RecordedSettings {
  const isSet = isSetIn(sources)
  const entries = names.flatMap((name) => {
    const text = recorded[name]
    const differs = text !== undefined && text !== settingOf(name).default
    return differs && !isSet(name) ? [[name, text] as const] : []
  })
  return Object.fromEntries(entries)
}
