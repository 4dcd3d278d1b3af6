// Keeps the open connections and picks one to close for another.
//
// The source with most connections gives one up, so a source with few always gets in. A connection that a verified user
// uses is never picked and does not count. Each operation costs the same however many connections are open, because a
// flood causes one for every connection.

/** A connection as the table sees it. */
export interface Entry {
  readonly source: string
}

export interface ConnectionTable<E extends Entry> {
  readonly size: number
  /** All open connections. */
  readonly all: Iterable<E>
  countOf(source: string): number
  add(entry: E): void
  /** Does nothing for an entry that has been removed already. */
  remove(entry: E): void
  /** A verified user's request begins: until it ends the entry is never picked. */
  begin(entry: E): void
  end(entry: E): void
  /** The least useful connection of this source, or of the source with most. Undefined if all are in use. */
  leastUseful(source?: string): E | undefined
}

interface Source<E> {
  /** All connections of the source. */
  count: number
  /** Connections without a verified request, and when they were accepted; oldest first. */
  readonly unproven: Map<E, number>
  /** Connections that are idle after a verified request, and since when; longest idle first. */
  readonly idle: Map<E, number>
  /** How many connections are unproven or idle. */
  spare: number
}

// An unproven connection is closed before an idle one, unless the idle one is older by this much. Without the exception,
// clients of a large network, which is one source, would interrupt each other's handshakes while old idle connections
// stay. A client that is in the middle of an operation sends its next request well within this time.
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
  return { count: 0, unproven: new Map(), idle: new Map(), spare: 0 }
}

function leastUsefulOf<E>({ unproven, idle }: Source<E>): E | undefined {
  const [[newcomer, cameAt] = [undefined, Infinity]] = unproven
  const [[idler, idleSince] = [undefined, Infinity]] = idle
  return idleSince + IDLE_PREFERENCE_MS < cameAt ? idler : (newcomer ?? idler)
}

interface Ranking<S> {
  /** A source with most spare connections; undefined if no source has any. */
  readonly first: S | undefined
  /** Changes a source's number of spare connections by one. */
  rank(source: S, change: 1 | -1): void
}

function createRanking<S extends { spare: number }>(): Ranking<S> {
  /** Sources by their number of spare connections. */
  const ranks: Set<S>[] = []
  let highest = 0

  return {
    get first() {
      const [source] = ranks[highest] ?? []
      return source
    },
    rank: (source, change) => {
      ranks[source.spare]?.delete(source)
      source.spare += change
      if (source.spare > 0) (ranks[source.spare] ??= new Set()).add(source)
      if (source.spare > highest) highest = source.spare
      // One step is enough: the source is now one rank lower, unless that is 0.
      else if (ranks[highest]?.size === 0) highest -= 1
    },
  }
}
