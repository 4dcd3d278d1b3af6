// Shortens texts that clients choose.

const MAX_LENGTH = 256

/** Threat: a slice of a string keeps the whole string in memory. So the slice is copied. */
export function shortText(text: string, maxLength = MAX_LENGTH): string {
  return text.length <= maxLength ? text : Buffer.from(text.slice(0, maxLength)).toString()
}

export function shortTextOrNone(text: string | undefined): string | undefined {
  return text === undefined ? undefined : shortText(text)
}
