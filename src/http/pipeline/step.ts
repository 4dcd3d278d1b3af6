// Defines what the steps of the pipeline share.

import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context, MiddlewareHandler } from 'hono'
import type { ServerResponse } from 'node:http'
import type { Answer } from '../connections/connection.ts'
import { sendRefusal, type Refusal } from '../refusals.ts'
import type { RequestFacts } from '../request-facts.ts'

export interface Env {
  Bindings: HttpBindings
  Variables: {
    /** The answer in flight; it leads to the connection. */
    answer: Answer
    facts: RequestFacts
  }
}

export type PipelineContext = Context<Env>

export type Step = MiddlewareHandler<Env>

/** Answers a refusal on Node's response and notes the reason for the log. Ends the pipeline. */
export function refuse(c: PipelineContext, answer: Refusal, reason: string): Response {
  c.var.facts.reason = reason
  sendRefusal(c.env.incoming, c.env.outgoing, answer)
  return RESPONSE_ALREADY_SENT
}

/**
 * Stops Node from ending the connection while its client waits for the sidecar. Returns a function that restores the
 * idle timer.
 */
export function pauseIdleTimer(outgoing: ServerResponse): () => void {
  outgoing.on('timeout', ignore)
  return () => {
    outgoing.off('timeout', ignore)
  }
}

// Node destroys an idle connection only if nothing listens.
const ignore = () => undefined
