// Collects the names that the leaf should contain.

import type { Config } from '../../settings/config.ts'
import { namesOfMachine, readMachineFacts } from './machine-names.ts'
import type { NamesUnder } from '../state-folder/authority.ts'
import { notPermitted } from '../../pki/name-constraints.ts'
import { leafNames, type SubjectAltName } from '../../pki/names.ts'

/** Returns the present names of this machine. Needs the names in the settings for Kubernetes. */
export type AutomaticNames = (configured: readonly SubjectAltName[]) => readonly SubjectAltName[]

export function wantedNames(
  { hosts }: Pick<Config, 'hosts'>,
  automaticNames: AutomaticNames = namesOfThisMachine,
): readonly SubjectAltName[] {
  return leafNames(hosts, automaticNames(hosts))
}

/** Leaves out names of this machine that the root forbids, but never names in the settings. */
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
