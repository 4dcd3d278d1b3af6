// Asks the registry which tags and manifests it has.

import { failureOf, type UpstreamFailure } from './failure.ts'
import { demandsLogin, LOGIN_DEMANDED } from './login-demand.ts'
import type { RegistryAddress } from './connect/registry-address.ts'
import { sendSmallRequest, type SmallAnswer } from './probe/small-request.ts'

export class LookupError extends Error {
  readonly failure: UpstreamFailure

  constructor(failure: UpstreamFailure) {
    super(failure.cause)
    this.name = 'LookupError'
    this.failure = failure
  }
}

export interface ManifestLookup {
  digestOf(repository: string, tag: string): Promise<string | undefined>
  tagsOf(repository: string): Promise<readonly string[]>
  childrenOf(repository: string, digest: string): Promise<readonly string[]>
}

// If `Accept` lacks lists and indexes, registry:2 converts a list and answers with another digest.
const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v1+json',
  'application/vnd.oci.artifact.manifest.v1+json',
  '*/*;q=0.1',
].join(', ')

const TIMEOUT_MS = 15_000
const MAX_BODY_LENGTH = 16 * 1024 * 1024
const MAX_PAGES = 1_000

export function createManifestLookup(to: RegistryAddress): ManifestLookup {
  const ask = (method: string, path: string) =>
    sendSmallRequest({
      to,
      method,
      path,
      headers: { accept: ACCEPT },
      timeoutMs: TIMEOUT_MS,
      maxBodyLength: method === 'HEAD' ? 0 : MAX_BODY_LENGTH,
    }).then(answered)

  return {
    digestOf: async (repository, tag) => {
      const answer = await ask('HEAD', `/v2/${repository}/manifests/${tag}`)
      if (answer === undefined) return undefined
      const digest = answer.headers['docker-content-digest']
      if (typeof digest !== 'string') throw unclear('the registry does not report the digest of a manifest')
      return digest
    },
    tagsOf: async (repository) => {
      const tags: string[] = []
      let path: string | undefined = `/v2/${repository}/tags/list?n=1000`
      for (let pages = 0; path !== undefined; pages++) {
        if (pages === MAX_PAGES) throw unclear('the list of tags does not end')
        const answer = await ask('GET', path)
        if (answer === undefined) return tags
        tags.push(...stringsIn(fieldOf(jsonOf(answer), 'tags')))
        path = nextPage(answer.headers['link'])
      }
      return tags
    },
    childrenOf: async (repository, digest) => {
      const answer = await ask('GET', `/v2/${repository}/manifests/${digest}`)
      if (answer === undefined) return []
      const manifests = fieldOf(jsonOf(answer), 'manifests')
      return stringsIn(
        Array.isArray(manifests) ? manifests.map((manifest: unknown) => fieldOf(manifest, 'digest')) : [],
      )
    },
  }
}

type Answer = Extract<SmallAnswer, { readonly kind: 'answer' }>

function answered(answer: SmallAnswer): Answer | undefined {
  switch (answer.kind) {
    case 'failed':
      throw new LookupError(failureOf(Object.assign(new Error(answer.code), { code: answer.code })))
    case 'timeout':
      throw new LookupError({ kind: 'timed-out', cause: `no answer within ${TIMEOUT_MS / 1000} s` })
    case 'answer':
      if (answer.status === 404) return undefined
      if (demandsLogin(answer.status))
        throw new LookupError({ kind: 'demands-login', cause: LOGIN_DEMANDED.reason })
      if (answer.status !== 200) throw unclear(`the registry answered ${answer.status} to a lookup`)
      return answer
  }
}

function unclear(cause: string): LookupError {
  return new LookupError({ kind: 'broke-off', cause })
}

function jsonOf({ body, isWhole }: Answer): unknown {
  if (!isWhole) throw unclear('the answer to a lookup broke off or is too long')
  try {
    return JSON.parse(body)
  } catch {
    throw unclear('the registry answered something other than JSON')
  }
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined
}

function stringsIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

// OCI distribution specification 1.1, "Listing Tags": `Link: </v2/…>; rel="next"`.
function nextPage(link: string | readonly string[] | undefined): string | undefined {
  const next = /<([^>]+)>;\s*rel="?next"?/.exec(String(link ?? ''))?.[1]
  if (next === undefined || !URL.canParse(next, 'http://registry')) return undefined
  const { pathname, search } = new URL(next, 'http://registry')
  return pathname + search
}
