// Describes the command line for completion: commands, flags and values.

export interface Word {
  readonly text: string
  readonly description: string
}

/** `text` is a value that cannot be completed. */
export type FlagValue = 'none' | 'file' | 'folder' | 'text' | readonly string[]

export interface Flag extends Word {
  readonly value: FlagValue
}

/** The `path` is `''` for the program, and `user add` for a nested command. */
export interface CommandNode {
  readonly path: string
  readonly commands: readonly Word[]
  readonly flags: readonly Flag[]
  readonly argumentWords: readonly string[]
}

/** Merges the flags of all commands, because a flag means the same in each. */
export function flagsWithValue(nodes: readonly CommandNode[]): ReadonlyMap<string, FlagValue> {
  const flags = nodes.flatMap((node) => node.flags).filter(({ value }) => value !== 'none')
  return new Map(flags.map(({ text, value }) => [text, value]))
}

export function valueCases(
  values: ReadonlyMap<string, FlagValue>,
  completing: (value: FlagValue) => string,
): readonly string[] {
  const flagsOf = new Map<string, string[]>()
  for (const [flag, value] of values) {
    const action = completing(value)
    flagsOf.set(action, [...(flagsOf.get(action) ?? []), flag])
  }
  return Array.from(flagsOf, ([action, flags]) => `    ${flags.join(' | ')}) ${action}; return ;;`)
}

/** The path of a top-level command begins with a space. */
export function pathsBelow({ path, commands }: CommandNode): readonly string[] {
  return commands.map(({ text }) => `${path} ${text}`)
}

/** Quotes a text for bash, zsh and fish. */
export function singleQuoted(text: string): string {
  // fish reads backslashes within single quotes, so the quotes are closed around each `'` or `\`.
  return `'${text.replace(/['\\]/g, (character) => `'\\${character}'`)}'`
}
