// Finds control characters, which names and passwords must not contain.

/** Threat: bcryptjs takes 'ab\0ab' and 'ab' for the same password, and a terminal obeys escape sequences in a log. */
export function hasControlCharacter(text: string): boolean {
  return /\p{Cc}/u.test(text)
}
