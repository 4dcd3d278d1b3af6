// Shares asynchronous work that is already running, and runs work in order.

/** Calls with the same key during a run share the outcome of the run, even a failure. A later call starts a new run. */
export function shareInFlight<T>(): (work: () => Promise<T>, key?: string) => Promise<T> {
  const inFlight = new Map<string, Promise<T>>()
  return (work, key = '') => {
    const running = inFlight.get(key)
    if (running !== undefined) return running
    const started = work().finally(() => inFlight.delete(key))
    inFlight.set(key, started)
    return started
  }
}

/** A task that fails does not stop the next one. */
export function oneAfterTheOther(): <T>(task: () => Promise<T>) => Promise<T> {
  let previous: Promise<unknown> = Promise.resolve()
  return (task) => {
    const run = previous.then(task)
    previous = run.catch(() => undefined)
    return run
  }
}

/** All calls during a run share the next run. That run starts after the calls, so no outcome is outdated. */
export function shareNextRun<T>(task: () => Promise<T>): () => Promise<T> {
  const inOrder = oneAfterTheOther()
  let waiting: Promise<T> | undefined
  return () => {
    waiting ??= inOrder(() => {
      waiting = undefined
      return task()
    })
    return waiting
  }
}
