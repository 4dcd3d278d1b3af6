// Shares asynchronous work that is already running, and orders work.

/** All calls with the same key share one run, also if it fails. The next call after it tries again. */
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

/** All calls during a run share one further run. It starts after them, so no caller gets an outdated outcome. */
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
