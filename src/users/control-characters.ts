// Finds control characters, which names and passwords must not contain.

// Threat: bcrypt in JavaScript takes 'ab\0ab' and 'ab' for the same password. And the terminal that shows a log obeys the
// escape sequence in a name.
/** Whether the text contains a control character (U+0000–1F, 7F–9F). */
export function hasControlCharacter(text: string): boolean {
  return /\p{Cc}/u.test(text)
}
