// Derives the right that a request needs from its method and target.
// Threat: if the registry finds another repository in a target than this file, the rules protect nothing.
// So a target is read from its end, where every address has a fixed word. Unrecognized targets are refused.

import { readQuery, withoutParameters } from './query.ts'
import { isDigest, isRepositoryName, isTag } from './repository-name.ts'
import { REPOSITORY_ACTIONS, type RepositoryAction } from './actions.ts'

export type Scope =
  /** `/v2/`: every user who logged in may request it. */
  | { readonly kind: 'login' }
  | { readonly kind: 'catalog' }
  | RepositoryScope
  | { readonly kind: 'unrecognized'; readonly reason: string }

export interface RepositoryScope {
  readonly kind: 'repository'
  readonly repository: string
  /** One action is enough. A refusal names the first. */
  readonly anyOf: readonly RepositoryAction[]
  /** If set, forward this target. It lacks the parameters that no client may use. */
  readonly target?: string
  readonly mount?: Mount
  readonly change?: Change
}

export interface Mount {
  readonly from: string
  /** Forwarded if the client may not pull from `from`. The registry then asks for an upload. */
  readonly targetWithout: string
}

export type Change = { readonly kind: 'put-tag'; readonly tag: string } | Deletion

export type Deletion =
  | { readonly kind: 'delete-tag'; readonly tag: string }
  | { readonly kind: 'delete-manifest' | 'delete-blob'; readonly digest: string }

type Rights = ReadonlyMap<string, readonly RepositoryAction[]>

// Clients send HEAD before a push. HEAD shows only digest and size, which a client could also learn by pushing.
const MANIFEST = rights({ GET: ['pull'], HEAD: ['pull', 'push'], PUT: ['push'], DELETE: ['delete'] })
const BLOB = rights({ GET: ['pull'], HEAD: ['pull', 'push'], DELETE: ['delete'] })
const LIST = rights({ GET: ['pull'], HEAD: ['pull'] })
const NEW_UPLOAD = rights({ POST: ['push'] })
// DELETE only cancels the upload. Threat: registry:2 accepts a POST here that mounts a blob, so POST is not listed.
const UPLOAD = rights({ GET: ['push'], HEAD: ['push'], PATCH: ['push'], PUT: ['push'], DELETE: ['push'] })

// registry:2 answers OPTIONS with the methods that an address supports, and reveals nothing about the repository.
function rights(byMethod: Readonly<Record<string, readonly RepositoryAction[]>>): Rights {
  return new Map(Object.entries({ ...byMethod, OPTIONS: REPOSITORY_ACTIONS }))
}

const READING_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

const NOT_AN_ADDRESS = unrecognized('the path is not an address of the registry API')

export function scopeOf(method: string, target: string): Scope {
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  if (path === '/v2/' || path === '/v2') return withoutRepository(method, 'login')
  if (path === '/v2/_catalog') return withoutRepository(method, 'catalog')
  const address = addressOf(path)
  if (address === undefined || !isRepositoryName(address.repository)) return NOT_AN_ADDRESS
  const anyOf = address.rights.get(method)
  if (anyOf === undefined)
    return unrecognized(`the registry does not support ${knownMethod(method)} at this address`)
  const scope: RepositoryScope = { kind: 'repository', repository: address.repository, anyOf }
  const query = mark < 0 ? undefined : target.slice(mark + 1)
  return withDetails(scope, address, { method, path, query })
}

function withoutRepository(method: string, kind: 'login' | 'catalog'): Scope {
  return READING_METHODS.has(method)
    ? { kind }
    : unrecognized(`the registry does not support ${knownMethod(method)} at this address`)
}

interface Address {
  readonly kind: 'manifest' | 'tags' | 'blob' | 'new-upload' | 'upload' | 'referrers'
  readonly repository: string
  readonly last: string
  readonly rights: Rights
}

const UPLOAD_ID = /^[A-Za-z0-9._=-]+$/

// As in gorilla/mux of registry:2, the word before the last segment decides, so a path has one meaning.
function addressOf(path: string): Address | undefined {
  if (!path.startsWith('/v2/')) return undefined
  const segments = path.slice('/v2/'.length).split('/')
  const [word, last = ''] = [segments.at(-2), segments.at(-1)]
  const before = (count: number): string => segments.slice(0, -count).join('/')
  switch (word) {
    case 'manifests':
      return isTag(last) || isDigest(last)
        ? { kind: 'manifest', repository: before(2), last, rights: MANIFEST }
        : undefined
    case 'blobs':
      return isDigest(last) ? { kind: 'blob', repository: before(2), last, rights: BLOB } : undefined
    case 'tags':
      return last === 'list' ? { kind: 'tags', repository: before(2), last, rights: LIST } : undefined
    case 'referrers':
      return isDigest(last) ? { kind: 'referrers', repository: before(2), last, rights: LIST } : undefined
    case 'uploads':
      if (segments.at(-3) !== 'blobs') return undefined
      if (last === '') return { kind: 'new-upload', repository: before(3), last, rights: NEW_UPLOAD }
      return UPLOAD_ID.test(last)
        ? { kind: 'upload', repository: before(3), last, rights: UPLOAD }
        : undefined
    default:
      return undefined
  }
}

interface Request {
  readonly method: string
  readonly path: string
  readonly query: string | undefined
}

function withDetails(scope: RepositoryScope, { kind, last }: Address, request: Request): Scope {
  const { method, path, query } = request
  if (kind === 'new-upload' && method === 'POST') return withMount(scope, path, query)
  if (kind === 'blob' && method === 'DELETE')
    return { ...scope, change: { kind: 'delete-blob', digest: last } }
  if (kind !== 'manifest') return scope
  if (method === 'DELETE') {
    const change: Deletion = isTag(last)
      ? { kind: 'delete-tag', tag: last }
      : { kind: 'delete-manifest', digest: last }
    return { ...scope, change }
  }
  if (method !== 'PUT') return scope
  const put: RepositoryScope = isTag(last) ? { ...scope, change: { kind: 'put-tag', tag: last } } : scope
  return withoutTags(put, path, query)
}

// Threat: without `from`, a registry may search all repositories (OCI distribution specification 1.1).
function withMount(scope: RepositoryScope, path: string, text: string | undefined): Scope {
  if (text === undefined) return scope
  const query = readQuery(text)
  if (query === undefined) return AMBIGUOUS
  const [mounts, sources] = [query.valuesOf('mount'), query.valuesOf('from')]
  if (mounts.length === 0 && sources.length === 0) return scope
  // Threat: registry:2 uses the first of two values, and other registries may use the last.
  if (mounts.length > 1 || sources.length > 1) return AMBIGUOUS
  const targetWithout = withoutParameters(path, query, ['mount', 'from'])
  const [digest = '', from = ''] = [mounts[0], sources[0]]
  if (!isDigest(digest) || !isRepositoryName(from)) return { ...scope, target: targetWithout }
  return { ...scope, mount: { from, targetWithout } }
}

// Threat: in later specifications, `?tag=v1&tag=v2` sets tags and so bypasses immutable tags.
function withoutTags(scope: RepositoryScope, path: string, text: string | undefined): Scope {
  if (text === undefined) return scope
  const query = readQuery(text)
  if (query === undefined) return AMBIGUOUS
  return query.valuesOf('tag').length === 0
    ? scope
    : { ...scope, target: withoutParameters(path, query, ['tag']) }
}

const AMBIGUOUS = unrecognized('the query can be read in two ways')

function unrecognized(reason: string): Scope {
  return { kind: 'unrecognized', reason }
}

// The reason appears in answers and logs, so it must not repeat arbitrary text from the client.
function knownMethod(method: string): string {
  return /^[A-Z]{1,10}$/.test(method) ? method : 'this method'
}
