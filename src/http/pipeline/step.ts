// Defines what the steps of the pipeline share.

import type { Context, MiddlewareHandler } from 'hono'
import type { ServerResponse } from 'node:http'
import { ANSWERED, type Answered, type Exchanged } from '../answers.ts'
import type { Answer } from '../connections/connection.ts'
import { sendRefusal, type Refusal } from '../refusals.ts'
import type { RequestFacts } from '../request-facts.ts'

export interface Env {
  Bindings: Exchanged
  Variables: {
    answer: Answer
    facts: RequestFacts
  }
}

export type PipelineContext = Context<Env>

export type Step = MiddlewareHandler<Env>

export function refuse(c: PipelineContext, answer: Refusal, reason: string): Answered {
  c.var.facts.reason = reason
  sendRefusal(c.env.incoming, c.env.outgoing, answer)
  return ANSWERED
}

/** The returned function restores the timer. */
export function pauseIdleTimer(outgoing: ServerResponse): () => void {
  outgoing.on('timeout', ignore)
  return () => {
    outgoing.off('timeout', ignore)
  }
}

// Node destroys an idle connection only if nothing listens.
const ignore = () => undefined
