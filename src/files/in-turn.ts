/**
 * Makes `task` run one at a time. Whoever asks while it runs shares one further run, which begins after they asked:
 * nobody is given the outcome of work begun before their question, and a hundred questions cost two runs.
 */
export function inTurn<T>(task: () => Promise<T>): () => Promise<T> {
  let previous: Promise<unknown> = Promise.resolve()
  let waiting: Promise<T> | undefined

  return () => {
    waiting ??= enqueue()
    return waiting
  }

  function enqueue(): Promise<T> {
    const turn = previous.then(() => {
      waiting = undefined
      return task()
    })
    previous = turn.catch(() => undefined)
    return turn
  }
}
