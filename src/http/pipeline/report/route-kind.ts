// Finds the kind of address that a request is for, for metrics.

import type { RouteKind } from '../../../observability/event-metrics.ts'

// As in access/scope.ts, the word before the last segment decides. Called for each request, so it copies no segments.
const KIND_OF_WORD: ReadonlyMap<string, RouteKind> = new Map([
  ['manifests', 'manifest'],
  ['blobs', 'blob'],
  ['uploads', 'upload'],
  ['tags', 'tags'],
  ['referrers', 'referrers'],
])

const KIND_OF_PATH: ReadonlyMap<string, RouteKind> = new Map([
  ['/v2', 'ping'],
  ['/v2/', 'ping'],
  ['/v2/_catalog', 'catalog'],
  ['/token', 'token'],
  ['/', 'page'],
])

export function routeKindOf(target: string): RouteKind {
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  if (!path.startsWith('/v2/')) return KIND_OF_PATH.get(path) ?? (path.startsWith('/-/') ? 'page' : 'other')
  const end = path.lastIndexOf('/')
  const word = path.slice(path.lastIndexOf('/', end - 1) + 1, end)
  return KIND_OF_WORD.get(word) ?? KIND_OF_PATH.get(path) ?? 'other'
}
