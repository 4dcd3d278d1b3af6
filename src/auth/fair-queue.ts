// Queues items by source, so that a source delays only itself.

export interface FairQueue<T> {
  readonly size: number
  /** Returns the item that a full queue dropped, which may be the new one. */
  push(source: string, item: T): T | undefined
  shift(): T | undefined
  remove(source: string, item: T): void
}

export interface FairQueueLimits {
  readonly total: number
  readonly perSource: number
  readonly isFavored?: (source: string) => boolean
}

const TURNS_PER_UNFAVORED_TURN = 4

export function createFairQueue<T>({
  total,
  perSource,
  isFavored = () => true,
}: FairQueueLimits): FairQueue<T> {
  // In the order of their turns; no lane is empty.
  const lanes = new Map<string, T[]>()
  let size = 0
  let turns = 0

  function makeRoom(newcomer: string, newLength: number): { readonly dropped: T } | undefined {
    const source = sourceToShorten(lanes, { newcomer, newLength, isFavored })
    const newest = source === undefined ? undefined : lanes.get(source)?.at(-1)
    if (source === undefined || newest === undefined) return undefined
    remove(source, newest)
    return { dropped: newest }
  }

  function push(source: string, item: T): T | undefined {
    const held = lanes.get(source)?.length ?? 0
    if (held >= perSource) return item
    const room = size < total ? { dropped: undefined } : makeRoom(source, held + 1)
    if (room === undefined) return item
    lanes.set(source, [...(lanes.get(source) ?? []), item])
    size += 1
    return room.dropped
  }

  function shift(): T | undefined {
    turns += 1
    const source = sourceInTurn(lanes, turns, isFavored)
    const lane = source === undefined ? undefined : lanes.get(source)
    if (source === undefined || lane === undefined) return undefined
    const [item, ...rest] = lane
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

type Lanes<T> = ReadonlyMap<string, readonly T[]>

function sourceInTurn<T>(
  lanes: Lanes<T>,
  turn: number,
  isFavored: (source: string) => boolean,
): string | undefined {
  const isTurnOfFavored = turn % TURNS_PER_UNFAVORED_TURN !== 0
  const [first] = lanes.keys()
  for (const source of lanes.keys()) if (isFavored(source) === isTurnOfFavored) return source
  return first
}

interface Newcomer {
  readonly newcomer: string
  readonly newLength: number
  readonly isFavored: (source: string) => boolean
}

// The longest lane loses an item to a shorter lane, so that a few sources cannot fill the queue.
// A favored newcomer may replace an item of any source that is not favored.
function sourceToShorten<T>(
  lanes: Lanes<T>,
  { newcomer, newLength, isFavored }: Newcomer,
): string | undefined {
  const isNewcomerFavored = isFavored(newcomer)
  let found: string | undefined
  let longest = 0
  for (const [source, { length }] of lanes) {
    const least = isNewcomerFavored && !isFavored(source) ? 0 : newLength
    if (length > Math.max(least, longest)) [found, longest] = [source, length]
  }
  return found
}
