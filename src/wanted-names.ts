// The names that the leaf should carry: those of the settings, and those that this machine has of itself.

import { hostname, networkInterfaces } from 'node:os'
import type { Config } from './config.ts'
import { notPermitted } from './tls/name-constraints.ts'
import { automaticNames, leafNames, type SubjectAltName } from './tls/names.ts'
import type { NamesUnder } from './tls/settle.ts'

export function wantedNames({ hosts }: Pick<Config, 'hosts'>): readonly SubjectAltName[] {
  return leafNames(hosts, namesOfThisMachine())
}

/**
 * The names for a leaf under a root that may vouch for some names only. Those of this machine that it may not vouch for
 * are left out, and told: they come and go, as a container's do. Those of the settings never are: somebody counts on
 * them.
 */
export function wantedNamesUnder(
  { hosts }: Pick<Config, 'hosts'>,
  onLeftOut: (names: readonly SubjectAltName[]) => void,
): NamesUnder {
  return ({ permitted }) => {
    const automatic = namesOfThisMachine()
    const leftOut = notPermitted(automatic, permitted)
    if (leftOut.length > 0) onLeftOut(leftOut)
    return leafNames(
      hosts,
      automatic.filter((name) => !leftOut.includes(name)),
    )
  }
}

function namesOfThisMachine(): readonly SubjectAltName[] {
  const addresses = Object.values(networkInterfaces()).flatMap(
    (list) => list?.map((entry) => entry.address) ?? [],
  )
  return automaticNames({ hostname: hostname(), addresses })
}
