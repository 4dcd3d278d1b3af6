// Defines client instructions for the command line and the trust page.

/** The registry as clients name it, `host:port` or `host`. Prose shows only the first key. */
export type RegistryKeys = readonly [string, ...string[]]

export interface ClientTrust {
  readonly client: string
  readonly commands: readonly string[]
  /** Sentences without the last period. */
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

export interface ClientMachine {
  readonly platform: NodeJS.Platform
  readonly isRoot: boolean
}
