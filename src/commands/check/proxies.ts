// The proxy that clients would take, by the rules of Go's clients (golang.org/x/net/http/httpproxy).

import { BlockList, isIP } from 'node:net'
import type { World } from '../world.ts'
import type { RegistryAddress } from '../trust/registry-key.ts'
import type { Finding } from './finding.ts'

/** A note when the environment sends clients through a proxy, since everything else here goes straight. */
export function explainProxies({ name, port }: RegistryAddress, env: World['env']): readonly Finding[] {
  const variable = ['HTTPS_PROXY', 'https_proxy'].find((one) => (env[one] ?? '') !== '')
  if (variable === undefined) return []
  const exceptions = env['NO_PROXY'] ?? env['no_proxy'] ?? ''
  if (isLocal(name.value) || isExcepted(name.value, { port, exceptions })) return []
  const text =
    `${variable} is set: docker and podman started from here would go through that proxy, and dockerd if its own ` +
    'environment has it; this check went straight'
  const mend = `unless the registry is to be reached through it, add ${name.value} to NO_PROXY, for dockerd in its systemd unit`
  return [{ level: 'note', part: 'proxy', text, mend }]
}

function isLocal(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

interface Exceptions {
  readonly port: number
  readonly exceptions: string
}

function isExcepted(host: string, { port, exceptions }: Exceptions): boolean {
  return exceptions.split(',').some((entry) => {
    const text = entry.trim().toLowerCase()
    if (text === '*') return true
    const [, bare = text, wanted] = /^(.*?):(\d+)$/.exec(text) ?? []
    const pattern = isIP(text) === 0 ? bare : text
    if (pattern === '' || (wanted !== undefined && pattern !== text && Number(wanted) !== port)) return false
    if (isIP(host) !== 0) return isIn(host, pattern)
    const domain = pattern.replace(/^\*?\./, '')
    return host.endsWith(`.${domain}`) || (host === domain && domain === pattern)
  })
}

function isIn(address: string, pattern: string): boolean {
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
