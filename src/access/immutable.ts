// Keeps immutable tags from being moved or deleted.
//
// For the wiring, in the order of one request that may be sent:
//
// 1. Only a `put-tag` of an immutable tag comes here with its body. The body is collected before the turn is taken, or
//    one slow client would hold up a repository: at most MAX_MANIFEST_BYTES, the limit of registry:2, else 413. All
//    bodies held at once share a limit too (64 MiB; 503 with Retry-After beyond), or 1,000 pushes would hold 4 GiB.
//    A body that breaks off before the end of its framing is not sent.
// 2. `put` asks the registry for the digest that the tag has now, in the repository's turn, and then calls `send`, which
//    forwards the collected bytes with their length. The turn ends when `send` settles, so it must settle when the
//    registry has answered or the exchange has failed, and never wait for the client to read.
// 3. `remove` is for DELETE. A PUT by digest needs no check, because it sets no tag (scope.ts removes `?tag=`).
//
// `digestOf` is a HEAD with an Accept of all manifest types, the list and index types included: without them registry:2
// converts a manifest list and answers another digest. It must reject for any answer but 200 with a digest, or 404:
// then nothing is sent, and the client gets a 502.
//
// Several sidecars in front of one registry take turns each for itself: two pushes of a new tag through two of them at
// the same moment can both pass.

import { createHash } from 'node:crypto'
import type { AccessRules } from './access-rules.ts'
import type { Deletion } from './scope.ts'

/** registry:2 rejects larger manifests. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024

/** Asks the registry for its current content. Each method rejects when the registry does not answer the question. */
export interface TagLookup {
  /** The digest of the manifest that the tag points to; undefined when there is no such tag. */
  readonly digestOf: (repository: string, tag: string) => Promise<string | undefined>
  /** All tags of the repository, page by page until the last; none when there is no such repository. */
  readonly tagsOf: (repository: string) => Promise<readonly string[]>
  /** The digests that the manifest lists when it is an index; none for an image. */
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
  /** Sends the manifest of an immutable tag, unless the tag exists with other content. */
  readonly put: <T>(push: Push<T>) => Promise<Outcome<T>>
  /** Sends the DELETE, unless it would remove an immutable tag or content that such a tag needs. */
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
          // Finding the images that need a blob is expensive. To clean up, clients delete manifests, and the garbage
          // collection of the registry then deletes the blobs.
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

/** Whether these bytes have the digest. Returns false for an algorithm that we cannot compute. */
export function hasDigest(bytes: Buffer, digest: string): boolean {
  const [algorithm = '', hex] = digest.split(':', 2)
  return ALGORITHMS.has(algorithm) && createHash(algorithm).update(bytes).digest('hex') === hex
}

// Runs tasks one at a time per repository. Turns per tag are too narrow, because DELETE of a manifest affects all tags.
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
