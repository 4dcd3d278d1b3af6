// Reports which load balancers may name the address of a client.

import type { Config } from '../../settings/config.ts'
import type { Finding } from './finding.ts'

export function checkProxies({
  trustedProxies,
  proxyProtocol,
}: Pick<Config, 'trustedProxies' | 'proxyProtocol'>): readonly Finding[] {
  if (trustedProxies.length === 0) return []
  const part = 'proxy'
  const blocks = trustedProxies.map(({ address, prefixLength }) => `${address}/${prefixLength}`).join(', ')
  if (proxyProtocol === 'off') return [{ level: 'ok', part, text: `X-Forwarded-For counts from ${blocks}` }]
  const text = `all connections must come from ${blocks} and begin with a PROXY protocol header`
  return [{ level: 'note', part, text, hint: 'check the address of the load balancer: check --host HOST' }]
}
