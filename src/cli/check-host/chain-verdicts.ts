// Verifies a server's chain against each known set of roots.

import type { X509Certificate } from 'node:crypto'
import { hasIssued } from '../../pki/certificate.ts'
import { verifyChain, type HandshakeTarget } from './handshake.ts'
import type { KnownRoots, RootSet } from './known-roots.ts'

export interface ChainCheck extends RootSet {
  /** Whether the chain leads to one of these roots, even if OpenSSL rejects it. */
  readonly isAnchored: boolean
  /** Why OpenSSL rejects the chain. Undefined if OpenSSL accepts it. */
  readonly code: string | undefined
}

export interface ChainChecks {
  readonly localRoot: ChainCheck | { readonly missing: string }
  readonly system: ChainCheck
  readonly folders: readonly ChainCheck[]
  readonly unreadable: readonly string[]
}

export async function checkChain(
  target: HandshakeTarget,
  chain: readonly X509Certificate[],
  known: KnownRoots,
): Promise<ChainChecks> {
  const { localRoot, system, folders, unreadable } = known
  const check = async (set: RootSet): Promise<ChainCheck> => {
    const roots = set.certificates.map((certificate) => certificate.toString())
    const code = await verifyChain(target, roots)
    return { ...set, code, isAnchored: isAnchored(chain, set.certificates) }
  }
  return {
    localRoot: 'missing' in localRoot ? localRoot : await check(localRoot),
    system: await check(system),
    folders: await Promise.all(folders.map((folder) => check(folder))),
    unreadable,
  }
}

const DATE_CODES: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])

/** Ignores dates, because explain-certificate.ts reports them. */
export function isTrusted({ code, isAnchored }: ChainCheck): boolean {
  return code === undefined || (isAnchored && DATE_CODES.has(code))
}

function isAnchored(chain: readonly X509Certificate[], roots: readonly X509Certificate[]): boolean {
  const known = new Set(roots.map(({ fingerprint256 }) => fingerprint256))
  for (const [index, certificate] of chain.entries()) {
    if (known.has(certificate.fingerprint256)) return true
    if (roots.some((root) => hasIssued(root, certificate))) return true
    const next = chain[index + 1]
    if (next === undefined || !hasIssued(next, certificate)) return false
  }
  return false
}
