// Reads this machine's names; asks Docker's DNS after address changes.

import { namesInDocker } from './docker-names.ts'
import { namesOfMachine, readMachineFacts, type MachineFacts } from './machine-names.ts'
import type { SubjectAltName } from '../../pki/names.ts'
import type { AutomaticNames } from './wanted-names.ts'

export interface Machine {
  readonly names: AutomaticNames
  /** Takes at most a second. Never rejects. */
  refresh(): Promise<void>
}

export interface MachineSources {
  readonly facts: () => MachineFacts
  readonly inDocker: (facts: MachineFacts) => Promise<readonly SubjectAltName[]>
}

const SOURCES: MachineSources = { facts: readMachineFacts, inDocker: (facts) => namesInDocker(facts) }

// Docker's DNS may be slow while the container starts. Outside of Docker it has no names.
const MAX_QUESTIONS = 5

export async function lookAtMachine({ facts, inDocker }: MachineSources = SOURCES): Promise<Machine> {
  let askedAddresses: string | undefined
  let questionsLeft = 0
  let docker: readonly SubjectAltName[] = []
  await refresh()

  return { names: (configured) => [...namesOfMachine(facts(), configured), ...docker], refresh }

  async function refresh(): Promise<void> {
    const present = facts()
    const addresses = present.addresses.toSorted().join()
    if (addresses !== askedAddresses) questionsLeft = MAX_QUESTIONS
    if (questionsLeft === 0) return
    askedAddresses = addresses
    questionsLeft -= 1
    docker = await inDocker(present)
    if (docker.length > 0) questionsLeft = 0
  }
}
