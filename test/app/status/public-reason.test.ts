import { expect, it } from 'vitest'
import { createPublicReason } from '../../../src/app/status/public-reason.ts'

const shown = createPublicReason({
  users: 'users/htpasswd',
  access: '/etc/a+b/access.yaml',
  tlsCert: '/tls/tls.crt',
  tlsKey: '/tls/tls.key',
  tlsKeyPasswordFile: undefined,
  tlsClientCa: undefined,
  stateDir: 'state',
  rootDir: '/root',
})

it.each([
  ["ENOENT: no such file, open 'users/htpasswd'", "ENOENT: no such file, open 'SIDECAR_USERS'"],
  [
    '/tls/tls.key: does not belong to /tls/tls.crt: use both',
    'SIDECAR_TLS_KEY: does not belong to SIDECAR_TLS_CERT: use both',
  ],
  ['/etc/a+b/access.yaml: problems', 'SIDECAR_ACCESS: problems'],
  ['not renewed: state/root.key and /root/root.crt', 'not renewed: root.key and root.crt'],
  ['the state of my state/leaf.crt', 'the state of my leaf.crt'],
])('writes %j as %j', (reason, expected) => {
  expect(shown(reason)).toBe(expected)
})
