// This machine's names over time: read anew at every question, except for those that Docker has to be asked for.

import { namesInDocker } from './docker-names.ts'
import { namesOfMachine, readMachineFacts, type MachineFacts } from './machine-names.ts'
import type { SubjectAltName } from '../tls/names.ts'
import type { AutomaticNames } from './wanted-names.ts'

export interface Machine {
  readonly names: AutomaticNames
  /** Asks Docker again if the addresses are others than at the last time. Takes a second at most; never rejects. */
  refresh(): Promise<void>
}

export interface MachineSources {
  readonly facts: () => MachineFacts
  readonly inDocker: (facts: MachineFacts) => Promise<readonly SubjectAltName[]>
}

const SOURCES: MachineSources = { facts: readMachineFacts, inDocker: (facts) => namesInDocker(facts) }

/** Resolves once Docker has been asked. */
export async function lookAtMachine({ facts, inDocker }: MachineSources = SOURCES): Promise<Machine> {
  let asked: string | undefined
  let docker: readonly SubjectAltName[] = []
  await refresh()

  return { names: (configured) => [...namesOfMachine(facts(), configured), ...docker], refresh }

  async function refresh(): Promise<void> {
    const now = facts()
    const addresses = now.addresses.toSorted().join()
    if (addresses === asked) return
    asked = addresses
    docker = await inDocker(now)
  }
}
