// Finds this machine's names in its hosts file and in Kubernetes.
//
// Threat: a stolen leaf is more useful if it covers more names than needed.
// So names come only from files that the machine's owner controls, and wildcards are ignored.

import { closeSync, openSync, readSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import {
  automaticNames,
  canonicalAddress,
  isLoopbackAddress,
  parseHostName,
  type SubjectAltName,
} from '../../pki/names.ts'

/** The text of a missing file is empty. */
export interface MachineFacts {
  readonly hostname: string
  readonly addresses: readonly string[]
  readonly hostsFile: string
  readonly resolvConf: string
  /** The namespace of the service account that Kubernetes gives to a pod. */
  readonly namespace: string
}

const HOSTS_FILE = '/etc/hosts'
const RESOLV_CONF = '/etc/resolv.conf'
const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace'

export function readMachineFacts(): MachineFacts {
  return {
    hostname: hostname(),
    addresses: addressesOfThisMachine(),
    hostsFile: beginningOf(HOSTS_FILE),
    resolvConf: beginningOf(RESOLV_CONF),
    namespace: beginningOf(NAMESPACE_FILE),
  }
}

function addressesOfThisMachine(): readonly string[] {
  try {
    return Object.values(networkInterfaces()).flatMap((list) => list?.map((entry) => entry.address) ?? [])
  } catch {
    // Some sandboxes forbid this.
    return []
  }
}

/** Adds the longer forms of `configured` Kubernetes Services, which other namespaces use. */
export function namesOfMachine(
  facts: MachineFacts,
  configured: readonly SubjectAltName[],
): readonly SubjectAltName[] {
  const aliases = dnsNames([...namesInHostsFile(facts), ...namesInKubernetes(facts, configured)])
  return [...automaticNames(facts), ...aliases]
}

export function dnsNames(texts: readonly string[]): readonly SubjectAltName[] {
  return texts.flatMap((text) => {
    const parsed = parseHostName(text)
    return parsed.ok && parsed.name.type === 'dns' && !parsed.name.value.startsWith('*') ? [parsed.name] : []
  })
}

// A kubelet writes one line. Compose writes one line per network.
const MAX_HOSTS_FILE_NAMES = 32

// Only lines with our own addresses count, because ad-blocking lists add 100,000 lines with loopback addresses.
// A loopback line counts if it names this machine, as in Debian's `127.0.1.1 box.example box`.
function namesInHostsFile({ hostsFile, hostname: own, addresses }: MachineFacts): readonly string[] {
  const ours = new Set(addresses.flatMap((address) => canonicalAddress(address) ?? []))
  const lines = hostsFile.split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/))
  const names = lines.flatMap(([address = '', ...aliases]) => {
    const isOurs = isLoopbackAddress(address)
      ? aliases.includes(own)
      : ours.has(canonicalAddress(address) ?? '')
    return isOurs ? aliases : []
  })
  return names.slice(0, MAX_HOSTS_FILE_NAMES)
}

// A kubelet gives each pod `search NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN`.
function namesInKubernetes(
  { namespace: text, resolvConf }: MachineFacts,
  configured: readonly SubjectAltName[],
): readonly string[] {
  const namespace = text.trim()
  if (!/^[a-z0-9-]{1,63}$/.test(namespace)) return []
  const services = configured.filter(({ type, value }) => type === 'dns' && /^[^.*]+$/.test(value))
  const domain = clusterDomain(resolvConf, namespace)
  const suffixes = [
    namespace,
    `${namespace}.svc`,
    ...(domain === undefined ? [] : [`${namespace}.svc.${domain}`]),
  ]
  return services.flatMap(({ value }) =>
    value === 'localhost' ? [] : suffixes.map((suffix) => `${value}.${suffix}`),
  )
}

function clusterDomain(resolvConf: string, namespace: string): string | undefined {
  const prefix = `${namespace}.svc.`
  // Only the last `search` line counts (resolv.conf(5)).
  const search = resolvConf.split('\n').findLast((line) => /^search\s/.test(line))
  const domains = (search ?? '').trim().split(/\s+/).slice(1)
  const domain = domains.find((one) => one.startsWith(prefix))?.slice(prefix.length)
  return domain !== undefined && domains.includes(`svc.${domain}`) ? domain : undefined
}

// Enough for the lines about this machine, because block lists come after them.
const MAX_READ_BYTES = 64 * 1024

function beginningOf(file: string): string {
  try {
    const descriptor = openSync(file, 'r')
    try {
      const buffer = Buffer.alloc(MAX_READ_BYTES)
      const length = readSync(descriptor, buffer)
      const text = buffer.toString('utf8', 0, length)
      // Drops the last line, because it may be cut off: half a name is another name.
      return length < MAX_READ_BYTES ? text : text.slice(0, text.lastIndexOf('\n') + 1)
    } finally {
      closeSync(descriptor)
    }
  } catch {
    return ''
  }
}
