// What the steps of the pipeline share: one request's facts, as they become known.

import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context, MiddlewareHandler } from 'hono'
import { sendRefusal, type Refusal } from '../refusals.ts'

/** One request as the log will tell it. */
export interface RequestFacts {
  readonly id: string
  readonly address: string
  /** Set once the user is verified, never before. */
  username: string | undefined
  /** The user was let in by a password that was changed: `user passwd --keep-old`. */
  isOldPassword: boolean
  /** The name in a client certificate that is valid; true when it has none that could be a user's. */
  clientCertificate: string | true | undefined
  /** Why a client certificate was passed over where a password does as well. */
  certificateProblem: string | undefined
  /** Why the request was refused or failed; for the log only. */
  reason: string | undefined
}

export interface Env {
  Bindings: HttpBindings
  Variables: { facts: RequestFacts }
}

export type PipelineContext = Context<Env>

export type Step = MiddlewareHandler<Env>

/** Answers a refusal on Node's response and notes the reason for the log. Ends the pipeline. */
export function refuse(c: PipelineContext, answer: Refusal, reason: string): Response {
  c.var.facts.reason = reason
  sendRefusal(c.env.incoming, c.env.outgoing, answer)
  return RESPONSE_ALREADY_SENT
}
