import { describe, expect, it } from 'vitest'
import { namesInDocker, type Lookups } from '../../../src/certificates/names/docker-names.ts'

const EMBEDDED = 'search lan\nnameserver 127.0.0.11\noptions ndots:0\n'

/** A resolver with these names for 172.20.0.2, and these addresses for names. */
function resolverOf(pointers: readonly string[], forward: Readonly<Record<string, readonly string[]>>) {
  const asked: string[] = []
  const lookups = (): Lookups => ({
    pointers: (name) => {
      asked.push(name)
      return name === '2.0.20.172.in-addr.arpa'
        ? Promise.resolve(pointers)
        : Promise.reject(new Error('ENOTFOUND'))
    },
    addresses: (name) => {
      asked.push(name)
      return name in forward ? Promise.resolve(forward[name] ?? []) : Promise.reject(new Error('ENOTFOUND'))
    },
    cancel: () => undefined,
  })
  return { lookups, asked }
}

async function namesFrom(
  { lookups }: { readonly lookups: () => Lookups },
  { addresses = ['127.0.0.1', '172.20.0.2'], resolvConf = EMBEDDED } = {},
): Promise<readonly string[]> {
  return (await namesInDocker({ addresses, resolvConf }, { lookups })).map(({ value }) => value)
}

const US = ['172.20.0.2']

describe('names in Docker networks', () => {
  it.each([
    ['a container', 'proxyc.net', { proxyc: US }, ['proxyc']],
    [
      'a service of compose 2',
      'shop-my-proxy-1.shop_default',
      { 'shop-my-proxy-1': US, 'my-proxy': US },
      ['shop-my-proxy-1', 'my-proxy'],
    ],
    [
      'a service of compose 1',
      'shop_proxy_12.shop_back',
      { shop_proxy_12: US, proxy: US },
      ['shop_proxy_12', 'proxy'],
    ],
    ['a project with an underscore', 'my_shop-proxy-1.my_shop_default', { proxy: US }, ['proxy']],
    [
      'a service that several containers share',
      'shop-proxy-2.shop_default',
      { proxy: ['172.20.0.9', ...US] },
      ['proxy'],
    ],
  ])('are found: %s', async (_, pointer, forward, names) => {
    expect(await namesFrom(resolverOf([pointer], forward))).toEqual(names)
  })

  it.each([
    ['a name that resolves to another address', 'gitlab.net', { gitlab: ['203.0.113.5'] }],
    ['a name that does not resolve', 'gitlab.net', {}],
    ['a name with dots, as servers outside return', 'www.example.com', { 'www.example.com': US, www: US }],
    ['a container whose name has dots', 'a.b.example.net', { 'a.b.example': US, a: US }],
    ['a text that is not a host name', '*.net', { '*': US }],
    ['a text with nothing before its dot', '.net', { '': US }],
  ])('are left out: %s', async (_, pointer, forward) => {
    expect(await namesFrom(resolverOf([pointer], forward))).toEqual([])
  })

  it('are looked up at no other resolver', async () => {
    const resolver = resolverOf(['proxyc.net'], { proxyc: US })
    expect(
      await namesFrom(resolver, { resolvConf: 'nameserver 10.0.0.1\n# nameserver 127.0.0.11\n' }),
    ).toEqual([])
    expect(resolver.asked).toEqual([])
  })

  it('need a limited number of lookups', async () => {
    const pointers = Array.from({ length: 100 }, (_, index) => `name-${index}.net`)
    const resolver = resolverOf(pointers, {})
    const addresses = Array.from({ length: 100 }, (_, index) => `172.20.0.${index}`)
    await namesFrom(resolver, { addresses })
    expect(resolver.asked.length).toBeLessThanOrEqual(16)
  })

  it('are absent if the resolver does not answer in time', async () => {
    let cancel: () => void = () => undefined
    const silence = new Promise<never>((_, reject) => {
      cancel = () => {
        reject(new Error('ECANCELLED'))
      }
    })
    const lookups = (): Lookups => ({ pointers: () => silence, addresses: () => silence, cancel })
    const where = { addresses: US, resolvConf: EMBEDDED }
    expect(await namesInDocker(where, { lookups, limitMs: 10 })).toEqual([])
  })
})
