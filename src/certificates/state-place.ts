// Finds the folders of root and leaf in the settings.

import type { Config } from '../settings/config.ts'
import type { StatePlace } from './state-folder/state-files.ts'

export function statePlaceOf({ stateDir, rootDir }: Pick<Config, 'stateDir' | 'rootDir'>): StatePlace {
  return { folder: stateDir, rootFolder: rootDir }
}
