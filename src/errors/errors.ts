// Defines the errors that the operator must act on.

/** Settings or arguments are wrong. Carries every problem, not only the first. The process exits 64. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export interface InvalidFileOptions extends ErrorOptions {
  /** By default the reason. */
  readonly publicReason?: string
}

/** A file cannot serve its purpose. At start the process exits 1; at reload the last good value stays. */
export class InvalidFileError extends Error {
  readonly file: string
  readonly reason: string
  /** The reason for people without a login: it repeats no username. */
  readonly publicReason: string

  constructor(file: string, reason: string, options: InvalidFileOptions = {}) {
    super(`${file}: ${reason}`, options)
    this.name = 'InvalidFileError'
    this.file = file
    this.reason = reason
    this.publicReason = options.publicReason ?? reason
  }
}

/** A command failed. The message says to the operator what happened and what to do. The process exits 1. */
export class CommandError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
  }
}

/** The `code` of a system error (`ENOENT`), or undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** The message of an error, or any other thrown value as text. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
