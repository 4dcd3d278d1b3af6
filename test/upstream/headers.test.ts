// Tests which headers are forwarded, removed and added.

import { describe, expect, it } from 'vitest'
import { requestHeaders, responseHeaders } from '../../src/upstream/headers.ts'

const SENDER = { username: 'alice', address: '10.0.0.1', requestId: 'a-1' }
const OURS = {
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'proxy:443',
  'x-forwarded-for': '10.0.0.1',
  'x-forwarded-user': 'alice',
  'x-request-id': 'a-1',
}

describe('headers of a request', () => {
  it('are forwarded if the registry needs them, together with ours', () => {
    const needed = {
      host: 'proxy:443',
      'content-length': '5',
      'content-type': 'application/octet-stream',
      'content-range': '0-4',
      accept: 'application/vnd.oci.image.index.v1+json, */*',
      'accept-encoding': 'gzip',
      range: 'bytes=5-',
      'if-none-match': '"sha256:0"',
      'user-agent': 'docker/29',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    }
    expect(requestHeaders(needed, SENDER)).toEqual({ ...needed, ...OURS })
  })

  it.each([
    'authorization',
    'cookie',
    'x-registry-auth',
    'forwarded',
    'x-forwarded-port',
    'x_forwarded_user',
    'x-real-ip',
    'x-http-method-override',
    'proxy',
    'expect',
    'referer',
    'baggage',
    'an-unknown-name',
  ])('are removed if they are not listed: %s', (name) => {
    expect(requestHeaders({ host: 'proxy:443', [name]: 'x' }, SENDER)).toEqual({ host: 'proxy:443', ...OURS })
  })

  it.each(Object.keys(OURS))('are set by the sidecar, not by the client: %s', (name) => {
    expect(requestHeaders({ host: 'proxy:443', [name]: 'evil' }, SENDER)).toEqual({
      host: 'proxy:443',
      ...OURS,
    })
  })

  it('spell the transfer coding as every server knows it', () => {
    expect(requestHeaders({ 'transfer-encoding': 'Chunked' }, SENDER)['transfer-encoding']).toBe('chunked')
  })
})

describe('headers of an answer', () => {
  const context = {
    host: 'proxy:443',
    rewriteLocation: (location: string, host: string) => `${host} ${location}`,
  }

  it('are forwarded in their spelling and order, with nosniff for browsers', () => {
    const headers = [
      'Docker-Content-Digest',
      'sha256:0',
      'OCI-Subject',
      'sha256:1',
      'Warning',
      '299 - "x"',
      'Link',
      '</v2/_catalog?n=1>; rel="next"',
    ]
    expect(responseHeaders(headers, context)).toEqual([...headers, 'X-Content-Type-Options', 'nosniff'])
  })

  it('are removed if they are not for the client', () => {
    const headers = [
      'Server',
      'x/1',
      'X-Powered-By',
      'y',
      'Strict-Transport-Security',
      'max-age=1',
      'Alt-Svc',
      'h3=":443"',
      'Keep-Alive',
      'timeout=1',
      'Transfer-Encoding',
      'chunked',
    ]
    expect(responseHeaders(headers, context)).toEqual(['X-Content-Type-Options', 'nosniff'])
  })

  it.each([
    [
      'challenges',
      ['WWW-Authenticate', 'Proxy-Authenticate', 'Authentication-Info', 'Proxy-Authentication-Info'],
    ],
    ['storage of a browser', ['Set-Cookie', 'set-cookie2', 'Clear-Site-Data', 'Service-Worker-Allowed']],
    [
      'other pages and sources',
      ['Refresh', 'Speculation-Rules', 'SourceMap', 'X-SourceMap', 'Public-Key-Pins'],
    ],
    ['rights of a page', ['Content-Security-Policy', 'Permissions-Policy', 'Cross-Origin-Opener-Policy']],
    [
      'reports to other hosts',
      ['Content-Security-Policy-Report-Only', 'Report-To', 'Reporting-Endpoints', 'NEL'],
    ],
    ['access for other origins', ['Access-Control-Allow-Origin', 'access-control-allow-credentials']],
  ])('are removed if a browser would apply them to the whole origin: %s', (_what, names) => {
    const headers = names.flatMap((name) => [name, 'x'])
    expect(responseHeaders(headers, context)).toEqual(['X-Content-Type-Options', 'nosniff'])
  })

  it('have nosniff only once', () => {
    const headers = ['x-content-type-options', 'nosniff']
    expect(responseHeaders(headers, context)).toEqual(headers)
  })

  it('have the rewritten Location', () => {
    expect(responseHeaders(['Location', '/x'], context).slice(0, 2)).toEqual(['Location', 'proxy:443 /x'])
  })
})
