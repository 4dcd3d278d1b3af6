import { hostname, networkInterfaces } from 'node:os'
import { describe, expect, it } from 'vitest'
import {
  namesOfMachine,
  readMachineFacts,
  type MachineFacts,
} from '../../../src/certificates/names/machine-names.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import { until } from '../../fixtures/until.ts'

const NOWHERE: MachineFacts = {
  hostname: 'box',
  addresses: ['127.0.0.1', '::1', '10.1.2.3', '2001:db8::5', 'fe80::1'],
  hostsFile: '',
  resolvConf: '',
  namespace: '',
}
const ALWAYS = ['localhost', '127.0.0.1', '::1', 'box', '10.1.2.3', '2001:db8::5']

/** The names besides those that every machine has. */
function namesBeside(
  facts: Partial<MachineFacts>,
  configured: readonly SubjectAltName[] = [],
): readonly string[] {
  const names = namesOfMachine({ ...NOWHERE, ...facts }, configured).map(({ value }) => value)
  return [...new Set(names)].filter((name) => !ALWAYS.includes(name))
}

describe('names in the hosts file', () => {
  it.each([
    [
      'a pod of a StatefulSet',
      '10.1.2.3\tpod-0.web.ns.svc.cluster.local\tpod-0\n',
      ['pod-0.web.ns.svc.cluster.local', 'pod-0'],
    ],
    ['an IPv6 address in an unusual spelling', '2001:DB8:0::5 six.example\n', ['six.example']],
    ['without a line end', '10.1.2.3 last', ['last']],
    ['with the line ends of another system', '10.1.2.3 crlf\r\n10.1.2.3 more\r\n', ['crlf', 'more']],
    ['with comments', '# 10.1.2.3 no\n  10.1.2.3 yes # 10.1.2.3 never\n', ['yes']],
    ['the loopback line of this machine', '127.0.1.1 box.example.org box\n', ['box.example.org']],
  ])('are taken: %s', (_, hostsFile, names) => {
    expect(namesBeside({ hostsFile })).toEqual(names)
  })

  it.each([
    ['of other machines', '10.1.2.4 other\n8.8.8.8 dns.example\n'],
    ['that are blocked by loopback lines', '127.0.0.1 ads.example\n::1 ads.example\n0.0.0.0 ads.example\n'],
    ['of link-local addresses', 'fe80::1%eth0 zone\n'],
    ['that are not host names', '10.1.2.3 *.example.com 10.9.9.9 a..b -x bad!name\n'],
    ['without an address', 'box.example box\n\n \n'],
  ])('are left out: %s', (_, hostsFile) => {
    expect(namesBeside({ hostsFile })).toEqual([])
  })

  it('are at most 32', () => {
    const hostsFile = Array.from({ length: 100 }, (_, index) => `10.1.2.3 name-${index}\n`).join('')
    expect(namesBeside({ hostsFile })).toHaveLength(32)
  })
})

describe('names in Kubernetes', () => {
  const resolvConf =
    'nameserver 10.96.0.10\nsearch shop.svc.cluster.example svc.cluster.example cluster.example\n'
  const registry: SubjectAltName = { type: 'dns', value: 'registry' }

  it('are the longer forms of a configured Service, for other namespaces', () => {
    expect(namesBeside({ namespace: 'shop\n', resolvConf }, [registry])).toEqual([
      'registry.shop',
      'registry.shop.svc',
      'registry.shop.svc.cluster.example',
    ])
  })

  it.each([
    ['without a search list', ''],
    ['with the search list of another namespace', 'search other.svc.x svc.x x\n'],
    ['with a search list that no kubelet wrote', 'search shop.svc.evil.example\n'],
    ['with a later search list', 'search shop.svc.x svc.x x\nsearch lan\n'],
  ])('end with svc %s', (_, text) => {
    expect(namesBeside({ namespace: 'shop', resolvConf: text }, [registry])).toEqual([
      'registry.shop',
      'registry.shop.svc',
    ])
  })

  it.each<[string, Partial<MachineFacts>, SubjectAltName]>([
    ['outside Kubernetes', { resolvConf }, registry],
    ['an invalid namespace', { resolvConf, namespace: 'a.b' }, registry],
    ['a configured name with dots', { resolvConf, namespace: 'shop' }, { type: 'dns', value: 'a.example' }],
    ['a configured wildcard', { resolvConf, namespace: 'shop' }, { type: 'dns', value: '*.example' }],
    ['localhost', { resolvConf, namespace: 'shop' }, { type: 'dns', value: 'localhost' }],
    ['an address', { resolvConf, namespace: 'shop' }, { type: 'ip', value: '::2' }],
  ])('are absent: %s', (_, facts, configured) => {
    expect(namesBeside(facts, [configured])).toEqual([])
  })
})

// Other tests create networks and write the hosts file at the same time.
it('the facts of this machine contain its name, its addresses and its hosts file', async () => {
  const addresses = () =>
    Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? [])
  const before = addresses()
  const facts = readMachineFacts()
  expect([before, addresses()]).toContainEqual(facts.addresses)
  expect(facts.hostname).toBe(hostname())
  const hasHosts = () => /^127\.0\.0\.1\s/m.test(readMachineFacts().hostsFile)
  await until(hasHosts, { deadlineMs: 2_000, what: 'the hosts file' })
})
