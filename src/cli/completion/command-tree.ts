// Describes the command line for completion: commands, flags and values.

/** A word to complete, with its explanation. */
export interface Word {
  readonly text: string
  readonly description: string
}

/** The value after a flag: none, a path, one of these words, or a text that cannot be completed. */
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

/** The cases of a shell's `case` that complete the value after a flag. */
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

/**
 * The paths of the commands inside this node, as `parent name`. For the program itself the parent is empty, so the path
 * begins with a space.
 */
export function pathsBelow({ path, commands }: CommandNode): readonly string[] {
  return commands.map(({ text }) => `${path} ${text}`)
}

/** Quotes a text for bash, zsh and fish. */
export function singleQuoted(text: string): string {
  // We close the single quotes before each `'` or `\`, escape that character, and open them again, because fish reads
  // backslashes within single quotes.
  return `'${text.replace(/['\\]/g, (character) => `'\\${character}'`)}'`
}
