// Limits the log lines that clients cause, and counts further events.
// Threat: anyone who reaches the port could fill the disk, and hide important lines among many others.

export interface BoundedLog<T> {
  add(event: T): 'written' | 'counted'
  /** Later events still get lines within the same limits, but no line reports the number of others. */
  close(): void
}

export interface BoundedLogOptions<T> {
  readonly windowMs: number
  readonly keyOf: (event: T) => string
  readonly linesOf: (event: T) => number
  /** The maximum number of lines for a key that exceeded the limit in the previous window. */
  readonly ongoingLines?: number
  /** An event with a new key gets no line if this many keys exist. */
  readonly maxKeysOf: (event: T) => number
  readonly write: (event: T) => void
  readonly writeCounted: (last: T, count: number) => void
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
    // Starts the next window now, so that the end of that window clears `ongoing`.
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
