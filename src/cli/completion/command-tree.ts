// Describes the command line for completion: commands, flags and values.

/** A word to complete, with its explanation. */
export interface Word {
  readonly text: string
  readonly description: string
}

/** What follows a flag: nothing, a path, one of these words, or a text that nothing can complete. */
export type FlagValue = 'none' | 'file' | 'folder' | 'text' | readonly string[]

export interface Flag extends Word {
  readonly value: FlagValue
}

/** One command: `''` for the program itself, `user add` for a command within a command. */
export interface CommandNode {
  readonly path: string
  readonly commands: readonly Word[]
  readonly flags: readonly Flag[]
  /** Values of its argument. */
  readonly argumentWords: readonly string[]
}

/** The flags that take a value, each once: a flag means the same in every command. */
export function flagsWithValue(nodes: readonly CommandNode[]): ReadonlyMap<string, FlagValue> {
  const flags = nodes.flatMap((node) => node.flags).filter(({ value }) => value !== 'none')
  return new Map(flags.map(({ text, value }) => [text, value]))
}

/** The cases of a shell's `case` that complete what follows a flag. */
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

/** The paths of its commands as the scripts build them: `' user'`, `'user add'`. */
export function pathsBelow({ path, commands }: CommandNode): readonly string[] {
  return commands.map(({ text }) => `${path} ${text}`)
}

/** For bash, zsh and fish: a text in single quotes. */
export function singleQuoted(text: string): string {
  // Fish alone reads backslashes within single quotes, so a backslash stands outside of them, as a quote does.
  return `'${text.replace(/['\\]/g, (character) => `'\\${character}'`)}'`
}
