// Which connections are open, whose they are, and which of them can be spared best. Knows no sockets.

/** A connection as the table sees it. */
export interface Entry {
  readonly source: string
  /** Whether a request is being worked on. */
  readonly isBusy: boolean
  /** When it was accepted, or a verified user's last request on it ended; milliseconds of the table's clock. */
  usedAt: number
}

export interface ConnectionTable<E extends Entry> {
  readonly size: number
  countOf(source: string): number
  add(entry: E): void
  /** Does nothing for an entry that is not there any more. */
  remove(entry: E): void
  /** A verified user's request begins: until it ends the entry cannot be spared. */
  begin(entry: E): void
  end(entry: E): void
  /** The connection, of this source or of all, that has been of no use for longest; undefined when none can be spared. */
  spare(source?: string): E | undefined
}

// A client in the middle of an operation sends its next request well within this. A connection that has brought no
// verified request for as long is either kept for later, which every client does without, or somebody's who wants it
// open and nothing else. Refused requests do not make a connection younger: they cost whoever sends them nothing.
export const SPARE_AFTER_MS = 10_000

// Those that come before are logins being checked. A flood of them must not turn each accepted connection into a walk
// through thousands; those that were looked at in vain go to the end, so that the next look comes to others.
const MAX_LOOKS = 64

interface Source<E> {
  count: number
  /** Longest without use first. */
  readonly unused: Set<E>
}

export function createConnectionTable<E extends Entry>(clock: () => number): ConnectionTable<E> {
  const open = new Set<E>()
  const unused = new Set<E>()
  const sources = new Map<string, Source<E>>()

  function setUnused(entry: E): void {
    // Also one that stands there already goes to the end: the order is that of `usedAt`.
    unsetUnused(entry)
    entry.usedAt = clock()
    unused.add(entry)
    sources.get(entry.source)?.unused.add(entry)
  }

  function unsetUnused(entry: E): void {
    unused.delete(entry)
    sources.get(entry.source)?.unused.delete(entry)
  }

  return {
    get size() {
      return open.size
    },
    countOf: (source) => sources.get(source)?.count ?? 0,
    add: (entry) => {
      open.add(entry)
      const source = sources.get(entry.source) ?? { count: 0, unused: new Set() }
      source.count += 1
      sources.set(entry.source, source)
      setUnused(entry)
    },
    remove: (entry) => {
      if (!open.delete(entry)) return
      unsetUnused(entry)
      const source = sources.get(entry.source)
      if (source === undefined) return
      source.count -= 1
      if (source.count === 0) sources.delete(entry.source)
    },
    begin: unsetUnused,
    end: (entry) => {
      if (open.has(entry)) setUnused(entry)
    },
    spare: (source) => {
      const candidates = source === undefined ? unused : sources.get(source)?.unused
      if (candidates === undefined) return undefined
      const { found, busy } = firstSpare(candidates, clock() - SPARE_AFTER_MS)
      busy.forEach(setUnused)
      return found
    },
  }
}

interface Look<E> {
  readonly found: E | undefined
  /** Those that would have been it, but for what they are doing. */
  readonly busy: readonly E[]
}

function firstSpare<E extends Entry>(candidates: Iterable<E>, usedBefore: number): Look<E> {
  const busy: E[] = []
  for (const entry of candidates) {
    if (entry.usedAt > usedBefore || busy.length === MAX_LOOKS) break
    if (!entry.isBusy) return { found: entry, busy }
    busy.push(entry)
  }
  return { found: undefined, busy }
}
