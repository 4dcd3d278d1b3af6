// A bounded queue that serves its sources in turn: whoever brings much waits behind himself, not in front of others.

export interface FairQueue<T> {
  readonly size: number
  /** Appends `item`. Returns the one that had to go for want of room, which may be the new one, or undefined. */
  push(source: string, item: T): T | undefined
  /** Takes the oldest item of the source whose turn it is. */
  shift(): T | undefined
  remove(source: string, item: T): void
}

export interface FairQueueLimits {
  readonly total: number
  readonly perSource: number
}

export function createFairQueue<T>({ total, perSource }: FairQueueLimits): FairQueue<T> {
  // In the order of their turns; a source that has nothing waiting is not in it.
  const lanes = new Map<string, T[]>()
  let size = 0

  // Room is taken from the source that holds most, and only where that makes the two more equal. Were newcomers
  // refused instead, a few sources that fill the queue would keep everybody else out.
  function makeRoom(wanted: number): { readonly dropped: T } | undefined {
    let longest: [source: string, lane: T[]] | undefined
    for (const entry of lanes) if (entry[1].length > (longest?.[1].length ?? wanted)) longest = entry
    if (longest === undefined) return undefined
    const [source, lane] = longest
    const newest = lane.at(-1)
    if (newest === undefined) return undefined
    remove(source, newest)
    return { dropped: newest }
  }

  function push(source: string, item: T): T | undefined {
    const held = lanes.get(source)?.length ?? 0
    if (held >= perSource) return item
    const room = size < total ? { dropped: undefined } : makeRoom(held + 1)
    if (room === undefined) return item
    lanes.set(source, [...(lanes.get(source) ?? []), item])
    size += 1
    return room.dropped
  }

  function shift(): T | undefined {
    const [next] = lanes
    if (next === undefined) return undefined
    const [source, lane] = next
    const [item, ...rest] = lane
    // To the end of the order, or out of it.
    lanes.delete(source)
    if (rest.length > 0) lanes.set(source, rest)
    size -= 1
    return item
  }

  function remove(source: string, item: T): void {
    const lane = lanes.get(source)
    if (lane?.includes(item) !== true) return
    size -= 1
    if (lane.length === 1) lanes.delete(source)
    else
      lanes.set(
        source,
        lane.filter((other) => other !== item),
      )
  }

  return {
    get size() {
      return size
    },
    push,
    shift,
    remove,
  }
}
