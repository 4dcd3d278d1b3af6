// This machine's names over time: read anew at every question, except for those that Docker has to be asked for.

import { namesInDocker } from './docker-names.ts'
import { namesOfMachine, readMachineFacts, type MachineFacts } from './machine-names.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import type { AutomaticNames } from './wanted-names.ts'

export interface Machine {
  readonly names: AutomaticNames
  /**
   * Asks Docker again if the addresses are others than at the last time, or if it knew no names for them, five times at
   * most. Takes a second at most; never rejects.
   */
  refresh(): Promise<void>
}

export interface MachineSources {
  readonly facts: () => MachineFacts
  readonly inDocker: (facts: MachineFacts) => Promise<readonly SubjectAltName[]>
}

const SOURCES: MachineSources = { facts: readMachineFacts, inDocker: (facts) => namesInDocker(facts) }

// A resolver that is slow while the container starts answers soon after. Without any names in it, as outside of Docker,
// nobody should be asked for ever.
const MAX_QUESTIONS = 5

/** Resolves once Docker has been asked. */
export async function lookAtMachine({ facts, inDocker }: MachineSources = SOURCES): Promise<Machine> {
  let asked: string | undefined
  let questionsLeft = 0
  let docker: readonly SubjectAltName[] = []
  await refresh()

  return { names: (configured) => [...namesOfMachine(facts(), configured), ...docker], refresh }

  async function refresh(): Promise<void> {
    const now = facts()
    const addresses = now.addresses.toSorted().join()
    if (addresses !== asked) questionsLeft = MAX_QUESTIONS
    if (questionsLeft === 0) return
    asked = addresses
    questionsLeft -= 1
    docker = await inDocker(now)
    if (docker.length > 0) questionsLeft = 0
  }
}
