// Cuts texts that clients choose.

const MAX_LENGTH = 256

/** Threat: a part of a text keeps the whole text in memory, so a longer text is copied. */
export function shortText(text: string, maxLength = MAX_LENGTH): string {
  return text.length <= maxLength ? text : Buffer.from(text.slice(0, maxLength)).toString()
}

export function shortTextOrNone(text: string | undefined): string | undefined {
  return text === undefined ? undefined : shortText(text)
}
