// Asks Docker's DNS for the names of this container.
//
// A reverse lookup returns `CONTAINER.NETWORK`. With compose, CONTAINER names the service: `shop-proxy-1.shop_default`.
// No lookup returns a `--network-alias`.
//
// Threat: Docker's DNS forwards other questions to outside servers, and their answers may be forged.
// So a name must resolve to our address and have no dot, because every Internet name has a dot.

import { promises as dns } from 'node:dns'
import { isIPv4 } from 'node:net'
import type { SubjectAltName } from '../../pki/names.ts'
import { dnsNames, type MachineFacts } from './machine-names.ts'

export interface Lookups {
  /** Takes a name below in-addr.arpa. Rejects if there is no answer. */
  pointers(name: string): Promise<readonly string[]>
  /** IPv4 only. Rejects if there is no answer. */
  addresses(name: string): Promise<readonly string[]>
  cancel(): void
}

export interface DockerOptions {
  readonly lookups?: () => Lookups
  readonly limitMs?: number
}

const DOCKER_DNS = '127.0.0.11'

// Docker's DNS answers in a millisecond. The start of the sidecar must not wait much longer.
const LIMIT_MS = 1_000

// A real container has fewer addresses and fewer possible names.
const MAX_ADDRESSES = 8
const MAX_CANDIDATES = 8

/** Empty outside of user-defined Docker networks, and when Docker's DNS does not answer in time. Never rejects. */
export async function namesInDocker(
  { addresses, resolvConf }: Pick<MachineFacts, 'addresses' | 'resolvConf'>,
  { lookups = dockerDns, limitMs = LIMIT_MS }: DockerOptions = {},
): Promise<readonly SubjectAltName[]> {
  if (!isDockerDnsUsed(resolvConf)) return []
  const ownAddresses = addresses.filter((address) => isIPv4(address) && !address.startsWith('127.'))
  const resolver = lookups()
  const limit = setTimeout(() => {
    resolver.cancel()
  }, limitMs)
  try {
    const found = await Promise.all(
      ownAddresses.slice(0, MAX_ADDRESSES).map((address) => namesOfAddress(address, resolver)),
    )
    return dnsNames(found.flat())
  } finally {
    clearTimeout(limit)
  }
}

function isDockerDnsUsed(resolvConf: string): boolean {
  return resolvConf.split('\n').some((line) => {
    const [keyword, server] = line.trim().split(/\s+/)
    return keyword === 'nameserver' && server === DOCKER_DNS
  })
}

async function namesOfAddress(address: string, resolver: Lookups): Promise<readonly string[]> {
  const reversed = address.split('.').toReversed().join('.')
  const pointers = await resolver.pointers(`${reversed}.in-addr.arpa`).catch(() => [])
  const candidates = [...new Set(pointers.flatMap(candidatesOf))].slice(0, MAX_CANDIDATES)
  const resolvesToUs = await Promise.all(
    candidates.map(async (name) => {
      const found = await resolver.addresses(name).catch((): readonly string[] => [])
      return found.includes(address)
    }),
  )
  return candidates.filter((_, index) => resolvesToUs[index] === true)
}

/** `shop-proxy-1.shop_default` → the container name and the service name. */
function candidatesOf(pointer: string): readonly string[] {
  const [container, network, ...more] = pointer.split('.')
  // Docker allows dots in both names. With more than one dot, nobody knows where the network name begins.
  if (container === undefined || network === undefined || more.length > 0) return []
  return [container, ...servicesOf(container, network)]
}

// Compose joins names with hyphens, and version 1 with underscores. A project name may contain both.
function servicesOf(container: string, network: string): readonly string[] {
  return [...network.matchAll(/_/g)].flatMap(({ index }) => {
    const rest = container.startsWith(network.slice(0, index)) ? container.slice(index) : ''
    const service = /^([-_])(.+)\1\d+$/.exec(rest)?.[2]
    return service === undefined ? [] : [service]
  })
}

function dockerDns(): Lookups {
  const resolver = new dns.Resolver({ timeout: LIMIT_MS / 2, tries: 1 })
  resolver.setServers([DOCKER_DNS])
  return {
    pointers: (name) => resolver.resolvePtr(name),
    addresses: (name) => resolver.resolve4(name),
    cancel: () => {
      resolver.cancel()
    },
  }
}
