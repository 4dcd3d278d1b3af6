// The names that the leaf should carry: those of the settings, and those that this machine has of itself.

import type { Config } from '../../settings/config.ts'
import { namesOfMachine, readMachineFacts } from './machine-names.ts'
import type { NamesUnder } from '../state-folder/authority.ts'
import { notPermitted } from '../../pki/name-constraints.ts'
import { leafNames, type SubjectAltName } from '../../pki/names.ts'

/** The names that this machine has of itself at the moment, given those of the settings. */
export type AutomaticNames = (configured: readonly SubjectAltName[]) => readonly SubjectAltName[]

export function wantedNames(
  { hosts }: Pick<Config, 'hosts'>,
  automaticNames: AutomaticNames = namesOfThisMachine,
): readonly SubjectAltName[] {
  return leafNames(hosts, automaticNames(hosts))
}

/**
 * The names for a leaf under a root that may vouch for some names only. Those of this machine that it may not vouch for
 * are left out, and told: they come and go, as a container's do. Those of the settings never are: somebody counts on
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
