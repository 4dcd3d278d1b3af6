// Tests which Locations are rewritten to the client's Host.

import { describe, expect, it } from 'vitest'
import { createLocationRewrite } from '../../src/upstream/location-rewrite.ts'

const REST = '/v2/a/blobs/uploads/1?_state=a%2Fb=='
const HOST = 'proxy:443'
const MINE = `https://${HOST}`

describe('a Location that names the registry', () => {
  it.each<[what: string, upstream: string, location: string, expected: string]>([
    ['host and port', 'registry:5000', `http://registry:5000${REST}`, MINE + REST],
    ['over TLS', 'registry:5000', `https://registry:5000${REST}`, MINE + REST],
    ['in capitals', 'registry:5000', `HTTP://Registry:5000${REST}`, MINE + REST],
    ['without a port', 'registry:5000', `https://registry${REST}`, MINE + REST],
    ['an IPv6 address', '::1:5000', `http://[::1]:5000${REST}`, MINE + REST],
    ['another name of the loopback', '127.0.0.1:5000', `http://localhost:5000${REST}`, MINE + REST],
    ['the Host of the client, over plain HTTP', 'registry:5000', `http://${HOST}${REST}`, MINE + REST],
    ['nothing after the host', 'registry:5000', 'http://registry:5000', MINE],
    ['a query after the host', 'registry:5000', 'http://registry:5000?a', `${MINE}?a`],
  ])('gets the Host of the client: %s', (_what, upstream, location, expected) => {
    expect(rewriteFor(upstream)(location, HOST)).toBe(expected)
  })
})

describe('any other Location', () => {
  it.each<[what: string, location: string]>([
    ['relative', REST],
    ['the Host of the client', MINE + REST],
    ['a storage', 'https://storage.example/bucket/blob?signature=a%2Fb'],
    ['a storage on another port of the registry', `http://registry:9000${REST}`],
    ['a storage on the registry without a port', 'https://registry/bucket/blob'],
    ['a storage under the Host of the client', `http://${HOST}/minio/bucket/blob?x=1`],
    ['the registry as a user name', `http://registry:5000@evil${REST}`],
    ['the registry and its port as user and password', `http://registry:5000@evil:80${REST}`],
    ['the registry before a backslash', `http://registry:5000\\@evil${REST}`],
    ['the registry as the start of a name', `http://registry.evil:5000${REST}`],
    ['the registry with a longer port', `http://registry:50001${REST}`],
    ['the registry with a port of too many digits', `http://registry:005000${REST}`],
    ['a control character', `http://registry:5000\t@evil${REST}`],
    ['without a scheme', `//registry:5000${REST}`],
    ['another scheme', `ftp://registry:5000${REST}`],
    ['a broken bracket', `http://[registry:5000${REST}`],
    ['the loopback, if the registry is elsewhere', `http://localhost:5000${REST}`],
    ['an empty text', ''],
  ])('stays unchanged: %s', (_what, location) => {
    expect(rewriteFor('registry:5000')(location, HOST)).toBe(location)
  })
})

it('keeps a Location of a storage on port 80 of the machine, if the Host of the client has no port', () => {
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
