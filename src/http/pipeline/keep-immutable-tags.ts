// Refuses requests that would move or delete an immutable tag.

import type { AccessRules } from '../../access/access-rules.ts'
import type { ImmutableTags, Outcome } from '../../access/immutable.ts'
import { LookupError } from '../../upstream/manifest-lookup.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import { refusal, type Refusal } from '../refusals.ts'
import type { BodyCollector, Collected } from './collect-body.ts'
import { forwardContextOf, invite, logForwarded, type FailureObservers } from './forward.ts'
import { pauseIdleTimer, refuse, type PipelineContext, type Step } from './step.ts'
import { ANSWERED, type Answered } from '../answers.ts'

export interface ImmutableTagsOptions extends FailureObservers {
  readonly rules: () => AccessRules | undefined
  readonly immutableTags: ImmutableTags
  readonly manifestBodies: BodyCollector
  readonly upstream: Pick<Upstream, 'forwardWhole'>
}

// Clients do not give up in this time.
const MAX_WAIT_MS = 60_000

const BUSY = refusal('unavailable', 'too many changes of this repository at once; try again', {
  'Retry-After': '5',
})

const NOT_COLLECTED = {
  'too-large': refusal('tooLarge', 'a manifest can have at most 4 MiB'),
  'too-slow': refusal('tooSlow', 'the manifest did not arrive in time'),
  'out-of-memory': refusal('unavailable', 'too many manifests at once; try again', { 'Retry-After': '5' }),
} as const satisfies Record<Exclude<Collected['kind'], 'whole' | 'broken-off'>, Refusal>

export function keepImmutableTags(options: ImmutableTagsOptions): Step {
  const { immutableTags } = options

  return async function keepTags(c, next) {
    const rules = options.rules()
    const { change, repository = '' } = c.var.facts.change ?? {}
    if (rules === undefined || change === undefined) {
      await next()
    } else if (change.kind === 'put-tag') {
      const { tag } = change
      if (rules.isImmutable(repository, tag)) return putManifest(c, { repository, tag }, options)
      await next()
    } else if (rules.hasImmutableTags(repository)) {
      return inTurn(c, options, ({ send }) =>
        immutableTags.remove(rules, { repository, change, send: () => send(NO_BODY) }),
      )
    } else {
      await next()
    }
    return undefined
  }
}

const NO_BODY = Buffer.alloc(0)

async function putManifest(
  c: PipelineContext,
  named: { readonly repository: string; readonly tag: string },
  options: ImmutableTagsOptions,
): Promise<Answered> {
  invite(c)
  // The body comes before the turn, because a slow client must not hold up a repository.
  const collected = await options.manifestBodies.collect(c.env.incoming)
  if (collected.kind === 'broken-off') {
    c.var.facts.reason = 'the client left before the manifest was complete'
    c.env.outgoing.destroy()
    return ANSWERED
  }
  if (collected.kind !== 'whole')
    return refuse(c, NOT_COLLECTED[collected.kind], `the manifest is ${collected.kind}`)
  const { bytes: manifest, release } = collected
  try {
    return await inTurn(c, options, ({ send }) =>
      options.immutableTags.put({ ...named, manifest, send: () => send(manifest) }),
    )
  } finally {
    release()
  }
}

interface Turn {
  /** Does nothing if the client has left or waited too long. */
  readonly send: (body: Buffer) => Promise<void>
}

async function inTurn(
  c: PipelineContext,
  options: ImmutableTagsOptions,
  change: (turn: Turn) => Promise<Outcome<void>>,
): Promise<Answered> {
  const { incoming, outgoing } = c.env
  const context = forwardContextOf(c, options)
  const restoreIdleTimer = pauseIdleTimer(outgoing)
  const late = setTimeout(unlessAnswered, MAX_WAIT_MS, () => refuse(c, BUSY, 'waited too long for a turn'))
  try {
    const outcome = await change({
      send: async (body) => {
        clearTimeout(late)
        if (isAnswered()) return
        if (options.log.isDebug) logForwarded(options.log, c)
        await options.upstream.forwardWhole(incoming, outgoing, { ...context, body })
      },
    })
    if (outcome.kind === 'refused')
      unlessAnswered(() => refuse(c, refusal('denied', outcome.message), outcome.message))
  } catch (error) {
    if (!(error instanceof LookupError)) throw error
    unlessAnswered(() => {
      context.onFailure(error.failure)
    })
  } finally {
    clearTimeout(late)
  }
  return ANSWERED

  function isAnswered(): boolean {
    return outgoing.destroyed || outgoing.headersSent
  }

  function unlessAnswered(answer: () => unknown): void {
    if (isAnswered()) return
    restoreIdleTimer()
    answer()
  }
}
