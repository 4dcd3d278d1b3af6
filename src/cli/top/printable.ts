// Escapes characters that control a terminal.

// Control characters, invisible format characters such as a change of direction, and line separators.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Threat: the name of a user or a client contains an escape sequence, and the terminal of the operator executes it. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}
