import { expect, it } from 'vitest'
import { checkProxies } from '../../../src/cli/check/check-proxies.ts'
import { parseConfig } from '../../../src/settings/config.ts'

it.each([
  ['nothing without proxies', {}, []],
  [
    'the proxies whose header counts',
    { SIDECAR_TRUSTED_PROXIES: '10.0.0.0/24,2001:db8::5' },
    [{ level: 'ok', part: 'proxy', text: 'X-Forwarded-For is accepted from 10.0.0.0/24, 2001:db8::5/128' }],
  ],
  [
    'that clients cannot connect directly',
    { SIDECAR_TRUSTED_PROXIES: '10.0.0.0/24', SIDECAR_PROXY_PROTOCOL: 'on' },
    [
      {
        level: 'note',
        part: 'proxy',
        text: 'all connections must come from 10.0.0.0/24 and begin with a PROXY protocol header',
        hint: 'to test the load balancer, run registry-sidecar check --host HOST',
      },
    ],
  ],
] as const)('check reports %s', (_what, env, findings) => {
  expect(checkProxies(parseConfig({ env }))).toEqual(findings)
})
