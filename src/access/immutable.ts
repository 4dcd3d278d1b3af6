// Keeps immutable tags from being moved or deleted.
// Threat: 1,000 pushes would hold 4 GiB, so the caller limits all collected bodies together to 64 MiB.
// The caller does not send a body that breaks off before the end of its framing.
// Several sidecars do not share turns, so two pushes of a new tag at the same moment can both pass.

import { createHash } from 'node:crypto'
import type { AccessRules } from './access-rules.ts'
import type { Deletion } from './scope.ts'

/** registry:2 rejects larger manifests. Collect the body before `put`: a slow client must not hold up a repository. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024

/** Each method rejects when the registry does not answer the question. Then nothing is sent. */
export interface TagLookup {
  /** Must accept all manifest types. Otherwise registry:2 converts a manifest list and answers another digest. */
  readonly digestOf: (repository: string, tag: string) => Promise<string | undefined>
  readonly tagsOf: (repository: string) => Promise<readonly string[]>
  readonly childrenOf: (repository: string, digest: string) => Promise<readonly string[]>
}

interface Refused {
  readonly kind: 'refused'
  readonly message: string
}

export type Outcome<T> = { readonly kind: 'sent'; readonly value: T } | Refused

export interface Push<T> {
  readonly repository: string
  readonly tag: string
  readonly manifest: Buffer
  readonly send: () => Promise<T>
}

export interface Removal<T> {
  readonly repository: string
  readonly change: Deletion
  readonly send: () => Promise<T>
}

export interface ImmutableTags {
  /** The turn ends when the promise of `send` does, so `send` must not wait until the client has read the answer. */
  readonly put: <T>(push: Push<T>) => Promise<Outcome<T>>
  readonly remove: <T>(
    rules: Pick<AccessRules, 'isImmutable' | 'hasImmutableTags'>,
    removal: Removal<T>,
  ) => Promise<Outcome<T>>
}

export function createImmutableTags(lookup: TagLookup): ImmutableTags {
  const inTurn = createTurns()

  // Deleting a manifest also deletes the tags that point to it, and an index needs the manifests that it lists.
  async function tagThatNeeds(
    digest: string,
    repository: string,
    isImmutable: (tag: string) => boolean,
  ): Promise<string | undefined> {
    for (const tag of (await lookup.tagsOf(repository)).filter(isImmutable)) {
      const current = await lookup.digestOf(repository, tag)
      if (current === undefined) continue
      if (current === digest || (await lookup.childrenOf(repository, current)).includes(digest)) return tag
    }
    return undefined
  }

  return {
    put: ({ repository, tag, manifest, send }) =>
      inTurn(repository, async () => {
        const current = await lookup.digestOf(repository, tag)
        if (current !== undefined && !hasDigest(manifest, current)) return refused(`tag ${tag} is immutable`)
        return sent(send)
      }),
    remove: async (rules, { repository, change, send }) => {
      if (!rules.hasImmutableTags(repository)) return sent(send)
      const isImmutable = (tag: string): boolean => rules.isImmutable(repository, tag)
      switch (change.kind) {
        case 'delete-tag':
          return isImmutable(change.tag) ? refused(`tag ${change.tag} is immutable`) : sent(send)
        case 'delete-blob':
          // Finding the images that need a blob is expensive, and clients delete manifests to clean up.
          return refused(`${repository} has immutable tags; its blobs cannot be deleted`)
        case 'delete-manifest':
          return inTurn(repository, async () => {
            const tag = await tagThatNeeds(change.digest, repository, isImmutable)
            return tag === undefined ? sent(send) : refused(`tag ${tag} is immutable and needs this manifest`)
          })
      }
    },
  }
}

async function sent<T>(send: () => Promise<T>): Promise<Outcome<T>> {
  return { kind: 'sent', value: await send() }
}

function refused(message: string): Refused {
  return { kind: 'refused', message }
}

const ALGORITHMS: ReadonlySet<string> = new Set(['sha256', 'sha384', 'sha512'])

export function hasDigest(bytes: Buffer, digest: string): boolean {
  const [algorithm = '', hex] = digest.split(':', 2)
  return ALGORITHMS.has(algorithm) && createHash(algorithm).update(bytes).digest('hex') === hex
}

// Turns per tag are too narrow, because DELETE of a manifest affects all tags.
function createTurns(): <T>(repository: string, task: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>()
  return (repository, task) => {
    const turn = (last.get(repository) ?? Promise.resolve()).then(task)
    const settled = turn.then(
      () => undefined,
      () => undefined,
    )
    last.set(repository, settled)
    void settled.then(() => {
      if (last.get(repository) === settled) last.delete(repository)
    })
    return turn
  }
}
