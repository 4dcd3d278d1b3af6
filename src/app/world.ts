// Declares the parts of the process that a command may use.

export interface World {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown }
  readonly stdout: NodeJS.WritableStream & Partial<Terminal>
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly onSignal: (
    signals: readonly NodeJS.Signals[],
    listener: (signal: NodeJS.Signals) => void,
  ) => () => void
  /**
   * The process ends with code 1 at the second uncaught error. If nothing listens, the first error acts as SIGTERM.
   * Absent: such errors are not reported.
   */
  readonly onUncaughtError?: (listener: (error: Error) => void) => () => void
}

interface Terminal {
  readonly isTTY: boolean
  readonly columns: number
  readonly rows: number
}

/** 0: done. 1: failed. 64: wrong usage or settings. */
export type ExitCode = 0 | 1 | 64
