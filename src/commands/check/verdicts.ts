// Whose roots vouch for a chain: OpenSSL decides, once for each set of roots.

import type { X509Certificate } from 'node:crypto'
import { hasIssued } from '../../tls/certificate.ts'
import { judge, type Handshake } from './handshake.ts'
import type { KnownRoots, RootSet } from './known-roots.ts'

export interface Verdict extends RootSet {
  /** It would, if it were not for what `code` says. */
  readonly isAnchored: boolean
  /** Undefined: OpenSSL is content. */
  readonly code: string | undefined
}

export interface Verdicts {
  readonly ours: Verdict | { readonly missing: string }
  readonly system: Verdict
  readonly folders: readonly Verdict[]
  readonly unreadable: readonly string[]
}

/** Asks with one handshake for each set of roots. */
export async function judgeChain(
  handshake: Handshake,
  chain: readonly X509Certificate[],
  known: KnownRoots,
): Promise<Verdicts> {
  const { ours, system, folders, unreadable } = known
  const verdictOf = async (set: RootSet): Promise<Verdict> => {
    const roots = set.certificates.map((certificate) => certificate.toString())
    const code = await judge(handshake, roots)
    return { ...set, code, isAnchored: isAnchored(chain, set.certificates) }
  }
  return {
    ours: 'missing' in ours ? ours : await verdictOf(ours),
    system: await verdictOf(system),
    folders: await Promise.all(folders.map((folder) => verdictOf(folder))),
    unreadable,
  }
}

const DATE_CODES: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])

/** Whether these roots vouch for the chain, apart from its dates, which are told by themselves. */
export function vouches({ code, isAnchored }: Verdict): boolean {
  return code === undefined || (isAnchored && DATE_CODES.has(code))
}

// Only to explain a verdict, never instead of one.
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
