// Finds the proxy that clients would use for a registry.
//
// Follows the rules of Go's clients (golang.org/x/net/http/httpproxy).

import { BlockList, isIP } from 'node:net'
import type { World } from '../../app/world.ts'
import { isLoopbackAddress } from '../../pki/names.ts'
import type { RegistryAddress } from '../trust/registry-key.ts'
import type { Finding } from '../check/finding.ts'

/** Reports a proxy, because the other steps of `check` connect directly. */
export function explainProxies({ name, port }: RegistryAddress, env: World['env']): readonly Finding[] {
  const variable = ['HTTPS_PROXY', 'https_proxy'].find((candidate) => (env[candidate] ?? '') !== '')
  if (variable === undefined) return []
  const noProxy = env['NO_PROXY'] ?? env['no_proxy'] ?? ''
  const isLocal = name.value === 'localhost' || isLoopbackAddress(name.value)
  if (isLocal || isExcepted(name.value, { port, noProxy })) return []
  const text =
    `${variable} is set: docker and podman started from this shell use that proxy. dockerd uses it only if its own environment ` +
    'names it. This check connected directly'
  const hint = `if clients should reach the registry directly, add ${name.value} to NO_PROXY; dockerd reads it from its systemd unit`
  return [{ level: 'note', part: 'proxy', text, hint }]
}

interface Exceptions {
  readonly port: number
  readonly noProxy: string
}

function isExcepted(host: string, { port, noProxy }: Exceptions): boolean {
  return noProxy.split(',').some((exception) => {
    const text = exception.trim().toLowerCase()
    if (text === '*') return true
    const [, bare = text, digits] = /^(.*?):(\d+)$/.exec(text) ?? []
    const pattern = isIP(text) === 0 ? bare : text
    if (pattern === '' || (digits !== undefined && pattern !== text && Number(digits) !== port)) return false
    if (isIP(host) !== 0) return isInNetwork(host, pattern)
    const domain = pattern.replace(/^\*?\./, '')
    return host.endsWith(`.${domain}`) || (host === domain && domain === pattern)
  })
}

function isInNetwork(address: string, pattern: string): boolean {
  const [network = '', bits] = pattern.replace(/^\[|\]$/g, '').split('/')
  const family = isIP(network)
  if (family === 0 || family !== isIP(address)) return false
  const list = new BlockList()
  const kind = family === 6 ? 'ipv6' : 'ipv4'
  if (bits === undefined) list.addAddress(network, kind)
  else if (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32))
    list.addSubnet(network, Number(bits), kind)
  return list.check(address, kind)
}
