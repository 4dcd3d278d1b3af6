// Describes a finished request for log, metrics, audit and activity.

import type { OperationOutcome, Operation, RouteKind } from '../../../observability/event-metrics.ts'
import { chargeBytes, type Answer } from '../../connections/connection.ts'
import type { Bytes, RequestFacts, Transfer } from '../../request-facts.ts'
import { operationOf, operationOutcome } from './operation.ts'
import { routeKindOf } from './route-kind.ts'

export interface FinishedRequest {
  readonly facts: RequestFacts
  readonly method: string
  readonly target: string
  readonly route: RouteKind
  /** 499 if the connection closed before any status was sent. */
  readonly status: number
  readonly isComplete: boolean
  readonly ms: number
  readonly bytes: Bytes
  readonly transfer: Transfer | undefined
  /** Undefined unless the request pushes or pulls a manifest. */
  readonly operation: Operation | undefined
  readonly outcome: OperationOutcome
  readonly traceparent: string | string[] | undefined
  readonly userAgent: string | undefined
}

/** Call it once, because it charges the bytes of the connection. Returns undefined if the pipeline never ran. */
export function finishRequest({
  connection,
  outgoing,
  facts,
  transfer,
}: Answer): FinishedRequest | undefined {
  if (facts === undefined) return undefined
  const { method = '', url: target = '', headers } = outgoing.req
  const route = routeKindOf(target)
  const status = outgoing.headersSent ? outgoing.statusCode : 499
  const isComplete = outgoing.writableFinished
  return {
    facts,
    method,
    target,
    route,
    status,
    isComplete,
    ms: performance.now() - facts.startedAt,
    bytes: chargeBytes(connection),
    transfer,
    operation: operationOf(method, route),
    outcome: operationOutcome({ status, isComplete }),
    traceparent: headers['traceparent'],
    userAgent: headers['user-agent'],
  }
}
