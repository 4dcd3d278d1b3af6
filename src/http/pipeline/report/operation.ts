// Finds the push or pull that a request completes, and its outcome.

import type { Operation, OperationOutcome, RouteKind } from '../../../observability/event-metrics.ts'

/** A push ends with its manifest, and a pull begins with it. */
export function operationOf(method: string, route: RouteKind): Operation | undefined {
  if (route !== 'manifest') return undefined
  if (method === 'PUT') return 'push'
  return method === 'GET' ? 'pull' : undefined
}

export interface OperationEnd {
  readonly status: number
  readonly isComplete: boolean
}

export function operationOutcome({ status, isComplete }: OperationEnd): OperationOutcome {
  if (!isComplete) return 'cut'
  if (status < 300 || status === 304) return 'ok'
  if (status >= 500) return 'failed'
  switch (status) {
    // Clients that wait for a challenge get this status for their first request.
    case 401:
      return 'unauthenticated'
    case 403:
      return 'denied'
    case 404:
      return 'not-found'
    default:
      return 'refused'
  }
}
