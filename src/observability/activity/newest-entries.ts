// Keeps the newest entries of a map.

export interface RecentMap<V> {
  get(key: string): V | undefined
  /** Makes the entry the newest. Drops the oldest entry if the map is full. */
  set(key: string, value: V): void
  delete(key: string): void
  newestFirst(): readonly V[]
}

export function createRecentMap<V>(size: number): RecentMap<V> {
  const entries = new Map<string, V>()
  return {
    get: (key) => entries.get(key),
    set: (key, value) => {
      entries.delete(key)
      entries.set(key, value)
      const [oldest] = entries.keys()
      if (entries.size > size && oldest !== undefined) entries.delete(oldest)
    },
    delete: (key) => {
      entries.delete(key)
    },
    newestFirst: () => [...entries.values()].reverse(),
  }
}
