// Escapes characters that control a terminal.

// Control characters, invisible format characters such as a change of direction, and line separators.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Threat: the name of a user or a client contains an escape sequence, and the terminal of the operator executes it. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** The text stays the same JSON document, because JSON has escapes for these characters. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) => (character === '\n' ? character : escapesOf(character)))
}

// A character above U+FFFF has two escapes (RFC 8259 §7).
function escapesOf(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}
