// Reads a request's method and target as the right that it needs.
//
// Threat: if we read another repository out of a target than the registry does, rules protect nothing. So a target is
// read from its end, where every address of the registry ends in a fixed word and at most one more segment. What is
// not recognized is refused.

import { readQuery, withoutParameters } from './query.ts'
import { isDigest, isRepositoryName, isTag } from './repository-name.ts'
import { REPOSITORY_ACTIONS, type RepositoryAction } from './rules-schema.ts'

export type Scope =
  /** `/v2/`: anyone who logged in. */
  | { readonly kind: 'login' }
  /** The list of all repositories. */
  | { readonly kind: 'catalog' }
  | RepositoryScope
  | { readonly kind: 'unrecognized'; readonly reason: string }

export interface RepositoryScope {
  readonly kind: 'repository'
  readonly repository: string
  /** One of these is enough. The first is the one to name in a refusal. */
  readonly anyOf: readonly RepositoryAction[]
  /** What to forward instead of the target as it came: parameters that nobody may use are taken off. */
  readonly target?: string
  readonly mount?: Mount
  readonly change?: Change
}

/** A push that takes a blob out of another repository instead of uploading it. */
export interface Mount {
  readonly from: string
  /** To forward when the client may not pull from there; the registry then asks for an upload. */
  readonly targetWithout: string
}

/** What the request changes, for immutable tags. */
export type Change = { readonly kind: 'put-tag'; readonly tag: string } | Deletion

export type Deletion =
  | { readonly kind: 'delete-tag'; readonly tag: string }
  | { readonly kind: 'delete-manifest' | 'delete-blob'; readonly digest: string }

type Rights = ReadonlyMap<string, readonly RepositoryAction[]>

// Clients look with HEAD whether what they push is there already. HEAD of content tells a digest and a size, which a
// client that may push can find out by pushing anyway.
const MANIFEST = rights({ GET: ['pull'], HEAD: ['pull', 'push'], PUT: ['push'], DELETE: ['delete'] })
const BLOB = rights({ GET: ['pull'], HEAD: ['pull', 'push'], DELETE: ['delete'] })
const LIST = rights({ GET: ['pull'], HEAD: ['pull'] })
const NEW_UPLOAD = rights({ POST: ['push'] })
// DELETE only cancels the upload. Threat: POST is missing on purpose. registry:2 begins another upload there, with a
// mount, and no client asks for that.
const UPLOAD = rights({ GET: ['push'], HEAD: ['push'], PATCH: ['push'], PUT: ['push'], DELETE: ['push'] })

// registry:2 answers OPTIONS at each address with the methods it has there, and tells nothing about the repository.
function rights(byMethod: Readonly<Record<string, readonly RepositoryAction[]>>): Rights {
  return new Map(Object.entries({ ...byMethod, OPTIONS: REPOSITORY_ACTIONS }))
}

const READING_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

const NOT_AN_ADDRESS = unrecognized('no address of a registry')

/** The right that a request needs. `target` is the request's target as it came, path and query. */
export function scopeOf(method: string, target: string): Scope {
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  if (path === '/v2/' || path === '/v2') return withoutRepository(method, 'login')
  if (path === '/v2/_catalog') return withoutRepository(method, 'catalog')
  const address = addressOf(path)
  if (address === undefined || !isRepositoryName(address.repository)) return NOT_AN_ADDRESS
  const anyOf = address.rights.get(method)
  if (anyOf === undefined) return unrecognized(`the registry has no ${knownMethod(method)} here`)
  const scope: RepositoryScope = { kind: 'repository', repository: address.repository, anyOf }
  const query = mark < 0 ? undefined : target.slice(mark + 1)
  return withDetails(scope, address, { method, path, query })
}

function withoutRepository(method: string, kind: 'login' | 'catalog'): Scope {
  return READING_METHODS.has(method)
    ? { kind }
    : unrecognized(`the registry has no ${knownMethod(method)} here`)
}

interface Address {
  readonly kind: 'manifest' | 'tags' | 'blob' | 'new-upload' | 'upload' | 'referrers'
  readonly repository: string
  readonly last: string
  readonly rights: Rights
}

const UPLOAD_ID = /^[A-Za-z0-9._=-]+$/

// The word before the last segment decides, so no path is two addresses: `/v2/a/manifests/b/blobs/sha256:…` is a blob
// of the repository `a/manifests/b`, as gorilla/mux reads it in registry:2.
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

// OCI distribution specification 1.1 lets a registry search all repositories when `from` is missing, so `mount` alone
// goes nowhere either.
function withMount(scope: RepositoryScope, path: string, text: string | undefined): Scope {
  if (text === undefined) return scope
  const query = readQuery(text)
  if (query === undefined) return AMBIGUOUS
  const [mounts, sources] = [query.valuesOf('mount'), query.valuesOf('from')]
  if (mounts.length === 0 && sources.length === 0) return scope
  // Threat: registry:2 takes the first of two, others may take the last.
  if (mounts.length > 1 || sources.length > 1) return AMBIGUOUS
  const targetWithout = withoutParameters(path, query, ['mount', 'from'])
  const [digest = '', from = ''] = [mounts[0], sources[0]]
  if (!isDigest(digest) || !isRepositoryName(from)) return { ...scope, target: targetWithout }
  return { ...scope, mount: { from, targetWithout } }
}

// Threat: after version 1.1 the specification lets a push by digest set tags, `?tag=v1&tag=v2`, past all that immutable
// tags have in the way. Taken off, the client sees that the registry set none, and pushes them one by one.
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

// It goes into answers and logs.
function knownMethod(method: string): string {
  return /^[A-Z]{1,10}$/.test(method) ? method : 'such method'
}
