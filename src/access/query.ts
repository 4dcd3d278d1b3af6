// Parses a query as Go's net/url does, and rejects ambiguous ones.

export interface Query {
  readonly valuesOf: (key: string) => readonly string[]
  readonly parameters: readonly Parameter[]
}

export interface Parameter {
  readonly key: string
  readonly value: string
  readonly text: string
}

/** Threat: versions of Go read ";" and malformed or non-UTF-8 escapes differently, so the result is undefined. */
export function readQuery(text: string): Query | undefined {
  if (text.includes(';')) return undefined
  const parameters: Parameter[] = []
  for (const part of text.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const key = decode(equals < 0 ? part : part.slice(0, equals))
    const value = decode(equals < 0 ? '' : part.slice(equals + 1))
    if (key === undefined || value === undefined) return undefined
    parameters.push({ key, value, text: part })
  }
  return {
    parameters,
    valuesOf: (wanted) => parameters.filter(({ key }) => key === wanted).map(({ value }) => value),
  }
}

export function withoutParameters(path: string, query: Query, keys: readonly string[]): string {
  const kept = query.parameters.filter(({ key }) => !keys.includes(key)).map(({ text }) => text)
  return kept.length === 0 ? path : `${path}?${kept.join('&')}`
}

// Go's QueryUnescape reads a plus as a space.
function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
