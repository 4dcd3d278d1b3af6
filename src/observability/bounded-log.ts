// Log lines that clients cause: some are written, the rest counted.
//
// Threat: whoever reaches the port could fill the disk, and hide what matters among lines of no matter. Events are
// told apart by a key; each key has so many lines in a window of time, and one with a count at its end.

export interface BoundedLog<T> {
  /** Writes a line for the event, or counts it for the end of the window. */
  add(event: T): 'written' | 'counted'
  /** Writes what has only been counted. Later events are still written, within the same bounds, but counted no more. */
  close(): void
}

export interface BoundedLogOptions<T> {
  readonly windowMs: number
  readonly keyOf: (event: T) => string
  /** How many lines the event's key may have in a window. */
  readonly linesOf: (event: T) => number
  /** The same in a window right after one in which the key had more events than lines; by default it is the same. */
  readonly ongoingLines?: number
  /** How many keys there may be for this event to add one. */
  readonly maxKeysOf: (event: T) => number
  readonly write: (event: T) => void
  /** Says how many events like this one had no line. */
  readonly writeCounted: (last: T, count: number) => void
  /** Says how many events had no line because there were too many keys. */
  readonly writeUnlisted: (count: number) => void
}

interface Counts<T> {
  last: T
  written: number
  counted: number
}

export function createBoundedLog<T>(options: BoundedLogOptions<T>): BoundedLog<T> {
  const { windowMs, keyOf, linesOf, ongoingLines, maxKeysOf } = options
  const countsOf = new Map<string, Counts<T>>()
  let ongoing: ReadonlySet<string> = new Set()
  let unlisted = 0
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  function add(event: T): 'written' | 'counted' {
    startWindow()
    const key = keyOf(event)
    const counts = countsOf.get(key) ?? { last: event, written: 0, counted: 0 }
    if (!countsOf.has(key)) {
      if (countsOf.size >= maxKeysOf(event)) {
        unlisted += 1
        return 'counted'
      }
      countsOf.set(key, counts)
    }
    counts.last = event
    const lines = ongoing.has(key) ? (ongoingLines ?? linesOf(event)) : linesOf(event)
    if (counts.written >= lines) {
      counts.counted += 1
      return 'counted'
    }
    counts.written += 1
    options.write(event)
    return 'written'
  }

  function startWindow(): void {
    if (!isClosed) timer ??= setTimeout(endWindow, windowMs)
  }

  function endWindow(): void {
    clearTimeout(timer)
    timer = undefined
    const ended = [...countsOf].filter(([, { counted }]) => counted > 0)
    ongoing = new Set(ended.map(([key]) => key))
    countsOf.clear()
    for (const [, { last, counted }] of ended) options.writeCounted(last, counted)
    if (unlisted > 0) options.writeUnlisted(unlisted)
    unlisted = 0
    // So that a flood that goes on is known as one in the next window, and forgotten after it.
    if (ongoing.size > 0) startWindow()
  }

  return {
    add,
    close: () => {
      isClosed = true
      endWindow()
    },
  }
}
