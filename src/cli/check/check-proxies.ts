// Reports which load balancers may report the address of a client.

import type { Config } from '../../settings/config.ts'
import type { Finding } from './finding.ts'

export function checkProxies({
  trustedProxies,
  proxyProtocol,
}: Pick<Config, 'trustedProxies' | 'proxyProtocol'>): readonly Finding[] {
  if (trustedProxies.length === 0) return []
  const part = 'proxy'
  const blocks = trustedProxies.map(({ address, prefixLength }) => `${address}/${prefixLength}`).join(', ')
  if (proxyProtocol === 'off')
    return [{ level: 'ok', part, text: `X-Forwarded-For is accepted from ${blocks}` }]
  const text = `all connections must come from ${blocks} and begin with a PROXY protocol header`
  return [
    { level: 'note', part, text, hint: 'to test the load balancer, run registry-sidecar check --host HOST' },
  ]
}
