// Lets writes wait while a freeze is in force.
//
// This step comes before the step that counts transfers. So waiting writes do not use up the transfers of their user.

import type { AccessRules } from '../../access/access-rules.ts'
import { NO_PUSH } from '../../freeze/running-pushes.ts'
import type { WaitOutcome } from '../../freeze/waiting-writes.ts'
import type { WriteFreeze, WriteOutcome } from '../../freeze/write-freeze.ts'
import type { ConnectionTable } from '../connections/connection-table.ts'
import type { Connection } from '../connections/connection.ts'
import { refusal, type Refusal } from '../refusals.ts'
import { usernameOf, type RequestFacts } from '../request-facts.ts'
import { rightsOfRequest } from './authorize.ts'
import type { DrainGate } from './drain-gate.ts'
import { pauseIdleTimer, refuse, type PipelineContext, type Step } from './step.ts'
import { ANSWERED } from '../answers.ts'

export interface HoldWritesOptions {
  readonly writeFreeze: Pick<WriteFreeze, 'isFrozen' | 'mayGoOn' | 'wait' | 'begin'>
  readonly gate: Pick<DrainGate, 'counting'>
  readonly rules: () => AccessRules | undefined
  /** Protects the connections of waiting writes from being closed for a new connection. */
  readonly connections: Pick<ConnectionTable<Connection>, 'begin' | 'end'>
}

/** This step comes after authorization. A write that waited must be authenticated and authorized again. */
export function holdWrites(options: HoldWritesOptions): Step {
  const { writeFreeze } = options
  return async function holdWrite(c, next) {
    const kind = kindOf(c, options)
    if (kind === 'read') {
      await next()
      return undefined
    }
    const { outgoing } = c.env
    const push = pushOf(c)
    if (!writeFreeze.mayGoOn(push)) {
      const outcome = await waitForThaw(c, options)
      if (outcome === 'left') return ANSWERED
      if (outcome !== 'go-on') return refuse(c, REFUSAL_FOR[outcome], `frozen: ${outcome}`)
      forgetLogin(c.var.facts)
    }
    // If the client has left, no 'close' event follows that would end the write.
    if (outgoing.destroyed || outgoing.closed) return ANSWERED
    // During a freeze, a question begins no write. Otherwise a mirror that always asks would look like an endless push.
    if (kind === 'question' && writeFreeze.isFrozen) {
      await next()
      return undefined
    }
    const end = writeFreeze.begin(push)
    outgoing.once('close', () => {
      end(outcomeOf(c))
    })
    await next()
    return undefined
  }
}

// Threat: a user is removed while a write of that user waits. So the login is checked again.
function forgetLogin(facts: RequestFacts): void {
  facts.hasWaited = true
  facts.subject = undefined
  facts.isCertificateLogin = false
  facts.machinePassword = undefined
  facts.target = undefined
  facts.change = undefined
}

/** Runs a step only if the request has waited. The steps of the login come again after this step. */
export function ifWaited(step: Step): Step {
  return function repeatStep(c, next) {
    return c.var.facts.hasWaited ? step(c, next) : next()
  }
}

const RETRY_SOON = { 'Retry-After': '5' }
const RETRY_LATER = { 'Retry-After': '30' }

const REFUSAL_FOR = {
  'too-long': refusal('unavailable', 'pushes wait while the registry is maintained; try again', RETRY_SOON),
  'too-many': refusal(
    'unavailable',
    'too many pushes wait while the registry is maintained; try again',
    RETRY_LATER,
  ),
  stopping: { ...refusal('unavailable', 'the sidecar is stopping; try again', RETRY_SOON), closes: true },
} as const satisfies Record<Exclude<WaitOutcome, 'go-on' | 'left'>, Refusal>

const READING_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

// containerd, also inside docker, waits 30 s for an answer, and then fails without a retry. After a 503 it retries.
const PATIENCE_MS = { containerd: 25_000, others: 60_000 } as const
const IS_CONTAINERD = /containerd/i

type RequestKind = 'read' | 'question' | 'write'

// Threat: a push asks by HEAD whether the registry has a layer, and then does not send it. Garbage collection may
// delete that layer before its manifest arrives. So such a question waits like a write if the client may push.
function kindOf(c: PipelineContext, { rules }: Pick<HoldWritesOptions, 'rules'>): RequestKind {
  const { incoming } = c.env
  const { method = '' } = incoming
  if (!READING_METHODS.has(method)) return 'write'
  if (method !== 'HEAD') return 'read'
  const place = placeOf(c.var.facts.target ?? '')
  if (place?.collection !== 'blobs') return 'read'
  const { subject, machinePassword } = c.var.facts
  if (subject === undefined) return 'read'
  const may = rightsOfRequest(rules(), { subject, machinePassword })
  const mayPush = may === 'everything' || may({ action: 'push', repository: place.repository })
  return mayPush ? 'question' : 'read'
}

interface Place {
  readonly repository: string
  readonly collection: 'manifests' | 'blobs'
  readonly rest: string
}

const PLACE = /^\/v2\/(?<repository>.{1,255})\/(?<collection>manifests|blobs)\/(?<rest>[^?]*)/

function placeOf(target: string): Place | undefined {
  const { repository = '', collection, rest = '' } = PLACE.exec(target)?.groups ?? {}
  return collection === 'manifests' || collection === 'blobs' ? { repository, collection, rest } : undefined
}

// The name of a push contains the client, because several clients may push to one repository at once.
function pushOf(c: PipelineContext): string {
  const place = placeOf(c.var.facts.target ?? '')
  return place === undefined ? NO_PUSH : `${place.repository} ${clientOf(c)} ${c.var.facts.source}`
}

function clientOf({ var: { facts } }: PipelineContext): string {
  const user = usernameOf(facts)
  return user === undefined ? `anonymous ${facts.source}` : `user ${user}`
}

async function waitForThaw(
  c: PipelineContext,
  { writeFreeze, gate, connections }: HoldWritesOptions,
): Promise<WaitOutcome> {
  const { incoming, outgoing } = c.env
  const { connection } = c.var.answer
  const restoreIdleTimer = pauseIdleTimer(outgoing)
  const isContainerd = IS_CONTAINERD.test(incoming.headers['user-agent'] ?? '')
  connections.begin(connection)
  try {
    // The gate counts this request as in flight, so a shutdown waits until the refusal is sent.
    return await gate.counting(
      writeFreeze.wait({
        client: clientOf(c),
        patienceMs: isContainerd ? PATIENCE_MS.containerd : PATIENCE_MS.others,
        onLeave: (listener) => outgoing.once('close', listener),
      }),
    )
  } finally {
    connections.end(connection)
    restoreIdleTimer()
  }
}

// The last request of a push writes the tag. Earlier requests send manifests of single platforms by digest.
function outcomeOf(c: PipelineContext): WriteOutcome {
  const { incoming, outgoing } = c.env
  const place = placeOf(c.var.facts.target ?? '')
  const isTag = incoming.method === 'PUT' && place?.collection === 'manifests' && !place.rest.includes(':')
  return isTag && outgoing.writableFinished && outgoing.statusCode < 300 ? 'completes-push' : 'other'
}
