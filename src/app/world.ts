/** What a command may use of the world around it. `main.ts` makes the real one; tests make their own. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown }
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean }
  /** Calls back at each signal of these names; returns the way to stop listening. */
  readonly onSignal: (
    signals: readonly NodeJS.Signals[],
    listener: (signal: NodeJS.Signals) => void,
  ) => () => void
}

/** What a process ends with: 0 done, 1 failed, 64 wrong usage or settings. */
export type ExitCode = 0 | 1 | 64
