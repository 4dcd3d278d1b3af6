// What a client needs to trust the root, as data: the command line and the page for a person both tell it.

/** The keys under which clients look one registry up; the first one is the name to show. */
export type RegistryKeys = readonly [string, ...string[]]

/** What makes one client trust the root. */
export interface ClientTrust {
  readonly client: string
  readonly commands: readonly string[]
  readonly note: string
}

export interface TrustSubject {
  readonly keys: RegistryKeys
  /** The root certificate on the machine where the commands are typed. */
  readonly file: string
  /** A folder on that machine that holds the root and nothing else, if there is one. */
  readonly certDir?: string | undefined
  readonly machine: ClientMachine
}

/** The machine where the commands are typed. */
export interface ClientMachine {
  readonly platform: NodeJS.Platform
  readonly isRoot: boolean
}
