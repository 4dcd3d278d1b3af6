// Keeps the open connections and picks one to close at a limit.
// The source with most closable connections loses one. Each operation takes constant time, because a flood causes many.

export interface Entry {
  readonly source: string
}

export interface ConnectionTable<E extends Entry> {
  readonly size: number
  readonly all: Iterable<E>
  countOf(source: string): number
  add(entry: E): void
  remove(entry: E): void
  /** Excludes the entry from `leastUseful` until `end`. */
  begin(entry: E): void
  end(entry: E): void
  /** Picks an entry of this source, or of the source with most closable entries. Undefined if all are in use. */
  leastUseful(source?: string): E | undefined
}

interface Source<E> {
  count: number
  /** Connections without a verified request, and when they were accepted; oldest first. */
  readonly unproven: Map<E, number>
  /** Connections that are idle after a verified request, and since when; longest idle first. */
  readonly idle: Map<E, number>
  closable: number
}

// An idle connection is closed first if it became idle this long before the oldest unproven connection arrived.
// Without this rule, the handshakes of a busy source could never finish.
export const IDLE_PREFERENCE_MS = 10_000

export function createConnectionTable<E extends Entry>(clock: () => number): ConnectionTable<E> {
  const open = new Set<E>()
  const sources = new Map<string, Source<E>>()
  const ranking = createRanking<Source<E>>()

  function withdraw(entry: E): void {
    const source = sources.get(entry.source)
    if (source === undefined) return
    if (source.unproven.delete(entry) || source.idle.delete(entry)) ranking.rank(source, -1)
  }

  return {
    get size() {
      return open.size
    },
    all: open,
    countOf: (source) => sources.get(source)?.count ?? 0,
    add: (entry) => {
      open.add(entry)
      const source = sources.get(entry.source) ?? createSource()
      sources.set(entry.source, source)
      source.count += 1
      source.unproven.set(entry, clock())
      ranking.rank(source, 1)
    },
    remove: (entry) => {
      if (!open.delete(entry)) return
      withdraw(entry)
      const source = sources.get(entry.source)
      if (source === undefined) return
      source.count -= 1
      if (source.count === 0) sources.delete(entry.source)
    },
    begin: withdraw,
    end: (entry) => {
      const source = sources.get(entry.source)
      if (!open.has(entry) || source === undefined) return
      withdraw(entry)
      source.idle.set(entry, clock())
      ranking.rank(source, 1)
    },
    leastUseful: (name) => {
      const source = name === undefined ? ranking.first : sources.get(name)
      return source === undefined ? undefined : leastUsefulOf(source)
    },
  }
}

function createSource<E>(): Source<E> {
  return { count: 0, unproven: new Map(), idle: new Map(), closable: 0 }
}

function leastUsefulOf<E>({ unproven, idle }: Source<E>): E | undefined {
  const [[oldestUnproven, acceptedAt] = [undefined, Infinity]] = unproven
  const [[longestIdle, idleSince] = [undefined, Infinity]] = idle
  return idleSince + IDLE_PREFERENCE_MS < acceptedAt ? longestIdle : (oldestUnproven ?? longestIdle)
}

interface Ranking<S> {
  readonly first: S | undefined
  rank(source: S, change: 1 | -1): void
}

function createRanking<S extends { closable: number }>(): Ranking<S> {
  const sourcesByClosable: Set<S>[] = []
  let highest = 0

  return {
    get first() {
      const [source] = sourcesByClosable[highest] ?? []
      return source
    },
    rank: (source, change) => {
      sourcesByClosable[source.closable]?.delete(source)
      source.closable += change
      if (source.closable > 0) (sourcesByClosable[source.closable] ??= new Set()).add(source)
      if (source.closable > highest) highest = source.closable
      // One step is enough, because the source is now one rank lower.
      else if (sourcesByClosable[highest]?.size === 0) highest -= 1
    },
  }
}
