// Reads YAML and remembers the line and column of every value.

import {
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type ErrorCode,
  type Pair,
} from 'yaml'

export interface Place {
  readonly line: number
  readonly column: number
}

export interface Problem extends Place {
  readonly message: string
}

export interface YamlText {
  readonly value: unknown
  readonly problems: readonly Problem[]
  /** If no value exists at `path`, returns the place of the nearest value above. */
  readonly placeOf: (path: readonly PropertyKey[]) => Place
  readonly placeOfKey: (path: readonly PropertyKey[], key: string) => Place
}

/** Reports aliases, tags and keys that are not text. With aliases, a small file could expand without end. */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    // Set explicitly, so that a %YAML directive cannot switch to YAML 1.1, where "no" is false and "<<" merges.
    schema: 'core',
    resolveKnownTags: false,
    strict: true,
    stringKeys: true,
    // The check of `yaml` takes quadratic time. `repeatedKeys` does the same check in one pass.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'error',
    lineCounter: lines,
  })
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const pairOf = createPairLookup()
  const nodeAt = (path: readonly PropertyKey[]): unknown => {
    let node: unknown = document.contents
    for (const key of path) {
      const child = isSeq(node) ? node.get(key, true) : pairOf(node, key)?.value
      if (!isNode(child)) return node
      node = child
    }
    return node
  }
  const fatal = fatalProblems(document)
  const problems = fatal.length > 0 ? fatal : repeatedKeys(document)
  return {
    value: fatal.length > 0 ? undefined : document.toJS(),
    problems: problems.map(({ offset, message }) => ({ ...placeAt(offset), message })),
    placeOf: (path) => placeAt(startOf(nodeAt(path))),
    placeOfKey: (path, key) => {
      const node = nodeAt(path)
      return placeAt(startOf(pairOf(node, key)?.key ?? node))
    },
  }
}

interface Finding {
  readonly offset: number
  readonly message: string
}

function fatalProblems(document: Document.Parsed): readonly Finding[] {
  // The parser reports this error again for each following character.
  const tooDeep = document.errors.find(({ code }) => code === 'RESOURCE_EXHAUSTION')
  if (tooDeep !== undefined) return [{ offset: tooDeep.pos[0], message: TOO_DEEP }]
  const findings = new Map<number, string>()
  for (const { pos, code, message } of [...document.errors, ...document.warnings]) {
    findings.set(pos[0], MESSAGES[code] ?? message)
  }
  visit(document, {
    Alias: (_key, node) => {
      findings.set(startOf(node), NO_ALIASES)
    },
    Value: (_key, node) => {
      if (node.tag !== undefined) findings.set(startOf(node), 'tags that begin with "!" are not supported')
    },
    // Threat: the key `__proto__` has a special meaning in JavaScript, and zod ignores it silently.
    Pair: (_key, { key }) => {
      if (isScalar(key) && key.value === '__proto__') findings.set(startOf(key), 'unknown key "__proto__"')
    },
  })
  return [...findings].map(([offset, message]) => ({ offset, message }))
}

function repeatedKeys(document: Document.Parsed): readonly Finding[] {
  const findings: Finding[] = []
  visit(document, {
    Map: (_key, map) => {
      const seen = new Set<unknown>()
      for (const { key } of map.items) {
        const name = isScalar(key) ? key.value : key
        if (seen.has(name)) {
          const message = `the key "${String(name)}" appears twice in this mapping`
          findings.push({ offset: startOf(key), message })
        }
        seen.add(name)
      }
    },
  })
  return findings
}

export const TOO_DEEP = 'the file is nested too deeply'

const NO_ALIASES = 'text that begins with "*" must be in quotes; YAML aliases are not supported'

const MESSAGES: Readonly<Partial<Record<ErrorCode, string>>> = {
  BAD_ALIAS: NO_ALIASES,
  BAD_SCALAR_START: 'text that begins with "@" or "`" must be in quotes',
  MULTIPLE_DOCS: 'a second YAML document begins; the file must be one document',
  NON_STRING_KEY: 'a key must be text',
  TAG_RESOLVE_FAILED: 'tags that begin with "!" are not supported',
}

// `yaml` searches all pairs for each key, which is slow for a file with thousands of groups.
function createPairLookup(): (node: unknown, key: PropertyKey) => Pair | undefined {
  const indexes = new Map<unknown, ReadonlyMap<unknown, Pair>>()
  return (node, key) => {
    if (!isMap(node)) return undefined
    const index =
      indexes.get(node) ??
      new Map(node.items.map((pair) => [isScalar(pair.key) ? pair.key.value : pair.key, pair]))
    indexes.set(node, index)
    return index.get(key)
  }
}

function startOf(node: unknown): number {
  return (isNode(node) ? node.range?.[0] : undefined) ?? 0
}
