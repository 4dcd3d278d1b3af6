// Shares asynchronous work that is already running, and orders work.

/**
 * Shares one run of `work` between all calls with the same key until it settles: a client that repeats a request ten
 * times at once causes the work once. A failure is shared too, and the next call tries again.
 */
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

/** Runs tasks one at a time, in the order of the calls. A task that fails does not stop the next one. */
export function oneAfterTheOther(): <T>(task: () => Promise<T>) => Promise<T> {
  let previous: Promise<unknown> = Promise.resolve()
  return (task) => {
    const run = previous.then(task)
    previous = run.catch(() => undefined)
    return run
  }
}

/**
 * Runs `task` one at a time. All calls during a run share one further run, so a hundred calls cost two runs. That run
 * starts after the calls, so no caller gets an outcome older than its call.
 */
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
