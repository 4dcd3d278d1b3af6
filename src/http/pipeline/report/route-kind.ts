// Finds the label `route` of a request for metrics.

import type { RouteKind } from '../../../observability/event-metrics.ts'

// As in access/scope.ts, the segment before the last one decides. This runs for each request, so it splits no path.
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
