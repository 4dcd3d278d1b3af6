/**
 * Calls `make` for whoever asks first; those that ask until that is settled get the same outcome. Whoever asks without a
 * login must not make as much work as there are questions.
 */
export function shareWhileUnderWay<T>(make: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | undefined
  return () => {
    underWay ??= make().finally(() => {
      underWay = undefined
    })
    return underWay
  }
}
