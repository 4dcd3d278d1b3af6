// Keeps the items that were added last.

export interface Ring<T> {
  add(item: T): void
  newestFirst(): readonly T[]
}

export function createRing<T>(size: number): Ring<T> {
  const items: T[] = []
  let next = 0
  return {
    add: (item) => {
      items[next] = item
      next = (next + 1) % size
    },
    newestFirst: () => [...items.slice(0, next).reverse(), ...items.slice(next).reverse()],
  }
}
