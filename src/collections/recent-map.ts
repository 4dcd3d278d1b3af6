// Keeps a limited number of entries: those used most recently.
// Not a package: it would allocate all entries at the start, 2 MiB for the tables of this folder.

export interface RecentMap<V> {
  /** Counts as a use. */
  get(key: string): V | undefined
  /** Does not count as a use. */
  peek(key: string): V | undefined
  set(key: string, value: V): void
  delete(key: string): void
  clear(): void
  /** The entry that was used last comes first. */
  newestFirst(): readonly V[]
  readonly size: number
}

export function createRecentMap<V>(max: number): RecentMap<V> {
  // A Map keeps the order in which keys were set, so its first key was used least recently.
  const entries = new Map<string, V>()
  // Kept while entries are dropped in a row, because a new iterator walks over all entries that were deleted since the
  // last rehash. An iterator that is not used keeps every earlier table of the Map in memory.
  let oldest: Iterator<string> | undefined

  function set(key: string, value: V): void {
    entries.delete(key)
    entries.set(key, value)
    if (entries.size > max) deleteOldest()
    else oldest = undefined
  }

  function deleteOldest(): void {
    oldest ??= entries.keys()
    const next = oldest.next()
    if (next.done !== true) entries.delete(next.value)
  }

  return {
    get: (key) => {
      const value = entries.get(key)
      if (value !== undefined) set(key, value)
      return value
    },
    peek: (key) => entries.get(key),
    set,
    delete: (key) => {
      entries.delete(key)
    },
    clear: () => {
      entries.clear()
      oldest = undefined
    },
    newestFirst: () => [...entries.values()].reverse(),
    get size() {
      return entries.size
    },
  }
}
