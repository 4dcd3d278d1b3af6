import type { Machine } from '../machine.ts'
import type { RegistryKeys } from './registry-key.ts'

/** What makes one client trust the root. */
export interface ClientTrust {
  readonly client: string
  readonly commands: readonly string[]
  readonly note: string
}

export interface TrustSubject {
  readonly keys: RegistryKeys
  /** The root certificate on this machine. */
  readonly file: string
  readonly machine: Machine
}
