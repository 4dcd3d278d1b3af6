// Collects the names that the leaf should contain.

import type { Config } from '../../settings/config.ts'
import { namesOfMachine, readMachineFacts } from './machine-names.ts'
import type { NamesUnder } from '../state-folder/authority.ts'
import { notPermitted } from '../../pki/name-constraints.ts'
import { leafNames, type SubjectAltName } from '../../pki/names.ts'

/** The present names of this machine, given the names in the settings. */
export type AutomaticNames = (configured: readonly SubjectAltName[]) => readonly SubjectAltName[]

export function wantedNames(
  { hosts }: Pick<Config, 'hosts'>,
  automaticNames: AutomaticNames = namesOfThisMachine,
): readonly SubjectAltName[] {
  return leafNames(hosts, automaticNames(hosts))
}

/**
 * The names for a leaf under a root that is valid only for some names. Other names of this machine are left out and
 * reported, because they come and go, as in containers. Names in the settings are never left out: someone depends on
 * them.
 */
export function wantedNamesUnder(
  { hosts }: Pick<Config, 'hosts'>,
  onLeftOut: (names: readonly SubjectAltName[]) => void,
  automaticNames: AutomaticNames = namesOfThisMachine,
): NamesUnder {
  return ({ permitted }) => {
    const automatic = automaticNames(hosts)
    const leftOut = notPermitted(automatic, permitted)
    if (leftOut.length > 0) onLeftOut(leftOut)
    return leafNames(
      hosts,
      automatic.filter((name) => !leftOut.includes(name)),
    )
  }
}

function namesOfThisMachine(configured: readonly SubjectAltName[]): readonly SubjectAltName[] {
  return namesOfMachine(readMachineFacts(), configured)
}
