// Reads a query as Go's net/url does, or not at all.

export interface Query {
  /** All values of a parameter, decoded, in their order. */
  readonly valuesOf: (key: string) => readonly string[]
  readonly parameters: readonly Parameter[]
}

export interface Parameter {
  readonly key: string
  readonly value: string
  /** The parameter as the client sent it, still encoded. */
  readonly text: string
}

/**
 * Returns undefined for a query that versions of Go read differently or read only in part: a query with ";", with a
 * malformed escape, or with escapes that are not UTF-8. Known clients do not send such queries.
 */
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

/** The target without the parameters in `keys`. The other parameters keep their exact bytes. */
export function withoutParameters(path: string, query: Query, keys: readonly string[]): string {
  const kept = query.parameters.filter(({ key }) => !keys.includes(key)).map(({ text }) => text)
  return kept.length === 0 ? path : `${path}?${kept.join('&')}`
}

// Reads a plus as a space, as Go's QueryUnescape does.
function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
