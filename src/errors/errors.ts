// Defines the errors that the operator must act on.

/** Settings or arguments are wrong. The process exits 64. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export interface InvalidFileOptions extends ErrorOptions {
  readonly publicReason?: string
}

/** A file is unusable. At start the process exits 1. At reload the last valid value stays in force. */
export class InvalidFileError extends Error {
  readonly file: string
  readonly reason: string
  /** Clients without a login can read this reason, so it contains no username. */
  readonly publicReason: string

  constructor(file: string, reason: string, options: InvalidFileOptions = {}) {
    super(`${file}: ${reason}`, options)
    this.name = 'InvalidFileError'
    this.file = file
    this.reason = reason
    this.publicReason = options.publicReason ?? reason
  }
}

/** A new value is in force, but a part that uses it failed. The next reload tries again. */
export class NotAppliedError extends Error {
  constructor(cause: unknown) {
    super(`a change could not be applied: ${errorMessage(cause)}`, { cause })
    this.name = 'NotAppliedError'
  }
}

/** Whether the reload that failed has already logged this error. */
export function isLoggedAtReload(error: unknown): boolean {
  return error instanceof InvalidFileError || error instanceof NotAppliedError
}

/** A command failed. The message says what to do. The process exits 1. */
export class CommandError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
  }
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
