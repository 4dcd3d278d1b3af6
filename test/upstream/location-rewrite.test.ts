import { describe, expect, it } from 'vitest'
import { createLocationRewrite } from '../../src/upstream/location-rewrite.ts'

const REST = '/v2/a/blobs/uploads/1?_state=a%2Fb=='
const HOST = 'proxy:443'
const MINE = `https://${HOST}`

describe('a Location that names the registry', () => {
  it.each<[what: string, upstream: string, location: string, passed: string]>([
    ['host and port', 'registry:5000', `http://registry:5000${REST}`, MINE + REST],
    ['over TLS', 'registry:5000', `https://registry:5000${REST}`, MINE + REST],
    ['in capitals', 'registry:5000', `HTTP://Registry:5000${REST}`, MINE + REST],
    ['without a port', 'registry:5000', `https://registry${REST}`, MINE + REST],
    ['an IPv6 address', '::1:5000', `http://[::1]:5000${REST}`, MINE + REST],
    ['another name of the loopback', '127.0.0.1:5000', `http://localhost:5000${REST}`, MINE + REST],
    ['what the client called, over plain HTTP', 'registry:5000', `http://${HOST}${REST}`, MINE + REST],
    ['nothing behind the host', 'registry:5000', 'http://registry:5000', MINE],
    ['a query behind the host', 'registry:5000', 'http://registry:5000?a', `${MINE}?a`],
  ])('becomes what the client called: %s', (_what, upstream, location, passed) => {
    expect(rewriteFor(upstream)(location, HOST)).toBe(passed)
  })
})

describe('a Location of anybody else', () => {
  it.each<[what: string, location: string]>([
    ['relative', REST],
    ['what the client called', MINE + REST],
    ['a storage', 'https://storage.example/bucket/blob?signature=a%2Fb'],
    ['a storage on another port of the registry', `http://registry:9000${REST}`],
    ['a storage on the registry without a port', 'https://registry/bucket/blob'],
    ['a storage under the name that the client called', `http://${HOST}/minio/bucket/blob?x=1`],
    ['the registry as a user name', `http://registry:5000@evil${REST}`],
    ['the registry and its port as user and password', `http://registry:5000@evil:80${REST}`],
    ['the registry before a backslash', `http://registry:5000\\@evil${REST}`],
    ['the registry as the beginning of a name', `http://registry.evil:5000${REST}`],
    ['the registry with a port that goes on', `http://registry:50001${REST}`],
    ['the registry with a port of too many digits', `http://registry:005000${REST}`],
    ['a control character', `http://registry:5000\t@evil${REST}`],
    ['without a scheme', `//registry:5000${REST}`],
    ['another scheme', `ftp://registry:5000${REST}`],
    ['a broken bracket', `http://[registry:5000${REST}`],
    ['the loopback, when the registry is not there', `http://localhost:5000${REST}`],
    ['nothing', ''],
  ])('passes byte for byte: %s', (_what, location) => {
    expect(rewriteFor('registry:5000')(location, HOST)).toBe(location)
  })
})

it('a storage on port 80 of the machine passes, where the client calls that machine without a port', () => {
  const rewrite = rewriteFor('registry:5000')
  expect(rewrite('http://localhost/minio/blob', 'localhost')).toBe('http://localhost/minio/blob')
  expect(rewrite(`http://localhost${REST}`, 'localhost')).toBe(`https://localhost${REST}`)
})

function rewriteFor(upstream: string) {
  const colon = upstream.lastIndexOf(':')
  return createLocationRewrite({
    hostname: upstream.slice(0, colon),
    port: Number(upstream.slice(colon + 1)),
  })
}
