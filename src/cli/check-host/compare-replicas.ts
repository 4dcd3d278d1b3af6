// Compares the certificates that several connections to one name get.

import type { X509Certificate } from 'node:crypto'
import { hasIssued } from '../../pki/certificate.ts'
import type { Finding } from '../check/finding.ts'
import { isSidecarCross } from '../trust/certs-file.ts'
import { inspectChain, type HandshakeTarget } from './handshake.ts'
import { formatEndpoint, type Endpoint } from './reach.ts'

// If a load balancer picks one of two replicas at random, it picks the same eight times in one of 128 checks.
const CONNECTIONS = 8

const part = 'replicas'

interface Replica {
  readonly endpoint: Endpoint
  readonly leaf: X509Certificate
  /** The last certificate that the replica sends: its root, or the one below it. */
  readonly last: X509Certificate
  readonly chain: readonly X509Certificate[]
}

/** Finds nothing if all connections get the same certificate. Sends no request. */
export async function compareReplicas(
  target: HandshakeTarget,
  addresses: readonly string[],
): Promise<readonly Finding[]> {
  const { port } = target.endpoint
  const shared = addresses.length === 0 ? [target.endpoint.address] : addresses
  const endpoints = Array.from({ length: Math.max(CONNECTIONS, shared.length) }, (_, index) => ({
    address: shared[index % shared.length] ?? target.endpoint.address,
    port,
  }))
  const replicas = (await Promise.all(endpoints.map((endpoint) => inspect({ ...target, endpoint })))).flat()
  const [first, ...others] = replicas
  if (first === undefined) return []
  const leaves = new Set(replicas.map(({ leaf }) => leaf.fingerprint256)).size
  if (leaves === 1) return []
  const stranger = others.find((other) => !shareRoot(first, other))
  if (stranger !== undefined) return [explainRoots(first, stranger)]
  return [{ level: 'ok', part, text: `${leaves} replicas answer, with certificates under one root` }]
}

/** Empty for an address that does not answer, because a client then uses another. */
async function inspect(target: HandshakeTarget): Promise<readonly Replica[]> {
  const outcome = await inspectChain(target)
  if (outcome.kind !== 'done') return []
  const [leaf] = outcome.chain
  const last = outcome.chain.at(-1)
  return leaf === undefined || last === undefined
    ? []
    : [{ endpoint: target.endpoint, leaf, last, chain: outcome.chain }]
}

/** Whether a client that trusts the root of one can trust the other. A root that was renewed signs its successor. */
function shareRoot(one: Replica, other: Replica): boolean {
  return leadsTo(one, other) || leadsTo(other, one) || haveSameIssuer(one, other)
}

function leadsTo({ chain }: Replica, { last }: Replica): boolean {
  return chain.some(({ fingerprint256 }) => fingerprint256 === last.fingerprint256) || isBelow(chain, last)
}

function isBelow(chain: readonly X509Certificate[], issuer: X509Certificate): boolean {
  return chain.some((certificate) => hasIssued(issuer, certificate))
}

// Public CAs send intermediates without the root. The roots of sidecars may have equal names.
function haveSameIssuer(one: Replica, other: Replica): boolean {
  const isOpen = ({ last }: Replica): boolean => last.subject !== last.issuer && !isSidecarCross(last)
  return isOpen(one) && isOpen(other) && one.last.issuer === other.last.issuer
}

function explainRoots(one: Replica, other: Replica): Finding {
  const [here, there] = [one, other].map(
    ({ endpoint, last }) => `${formatEndpoint(endpoint)} leads to SHA-256 ${last.fingerprint256}`,
  )
  const text = `connections to this name get certificates under different roots: one to ${here ?? ''}, another to ${there ?? ''}; a client that trusts one root refuses the other`
  const hint =
    'give all sidecars behind this name the same root: set SIDECAR_ROOT_DIR, or serve certificates of one authority (SIDECAR_TLS_CERT)'
  return { level: 'problem', part, text, hint }
}
