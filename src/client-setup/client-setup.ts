// Defines client instructions, which the command line and the trust page show.

/** The keys under which clients look up one registry. The first one is shown to people. */
export type RegistryKeys = readonly [string, ...string[]]

/** The commands that make one client trust the root. */
export interface ClientTrust {
  readonly client: string
  readonly commands: readonly string[]
  readonly note: string
}

export interface TrustSubject {
  readonly keys: RegistryKeys
  /** The path of the root certificate on the machine where the commands run. */
  readonly file: string
  /** A folder on that machine that holds only the root, if there is one. */
  readonly certDir?: string | undefined
  readonly machine: ClientMachine
}

/** The machine where the commands run. */
export interface ClientMachine {
  readonly platform: NodeJS.Platform
  readonly isRoot: boolean
}
