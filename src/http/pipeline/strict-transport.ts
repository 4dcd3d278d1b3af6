import type { Step } from './step.ts'

/**
 * Tells browsers to speak HTTPS only with this host for so many seconds (RFC 6797). Off unless somebody wants it: it
 * counts for every port of the host, so a plain-HTTP page beside this registry would be out of reach for that long.
 */
export function strictTransport(seconds: number): Step {
  return async function addStrictTransport(c, next) {
    c.env.outgoing.setHeader('Strict-Transport-Security', `max-age=${seconds}`)
    await next()
  }
}
