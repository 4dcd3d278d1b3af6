import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  parseProxyHeader,
  V2_MAX_BYTES,
  type ProxyHeader,
} from '../../../src/http/connections/proxy-header.ts'
import { v1, v2, V2_LOCAL, V2_SIGNATURE, v2Ipv4, v2Ipv6 } from '../../fixtures/proxy-headers.ts'

const TO = '192.0.2.254'
const V6 = '20010db8000000000000000000000001'
const TLS_RECORD = Buffer.from('1603010200010001fc0303', 'hex')
const text = (line: string) => Buffer.from(line, 'latin1')
const extensions = (length: number) => Buffer.alloc(length, 4)

const ACCEPTED: readonly (readonly [string, Buffer, readonly [string, string] | undefined])[] = [
  ['version 1 with IPv4', v1('192.0.2.1'), ['192.0.2.1', TO]],
  ['version 1 with IPv6', v1('2001:DB8::1', '::1'), ['2001:db8::1', '::1']],
  ['version 1 with IPv4 in IPv6', v1('::ffff:192.0.2.1', '::ffff:c000:2fe'), ['192.0.2.1', TO]],
  [
    'version 1 of the longest length',
    v1('f'.repeat(4) + ':ffff'.repeat(7), 'ffff' + ':ffff'.repeat(7)),
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ],
  ['version 1 UNKNOWN', text('PROXY UNKNOWN\r\n'), undefined],
  ['version 1 UNKNOWN with addresses', text('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), undefined],
  ['version 2 with IPv4', v2Ipv4('192.0.2.1'), ['192.0.2.1', TO]],
  ['version 2 with IPv6', v2Ipv6(V6), ['2001:db8::1', '2001:db8::1']],
  ['version 2 with IPv4 in IPv6', v2Ipv6('00000000000000000000ffffc0000201'), ['192.0.2.1', '192.0.2.1']],
  ['version 2 with extensions', v2Ipv4('192.0.2.1', extensions(300)), ['192.0.2.1', TO]],
  ['version 2 of the longest length', v2Ipv4('192.0.2.1', extensions(V2_MAX_BYTES - 28)), ['192.0.2.1', TO]],
  ['version 2 LOCAL', V2_LOCAL, undefined],
  ['version 2 LOCAL with addresses', v2({ command: 0x20, body: Buffer.alloc(12, 9) }), undefined],
  ['version 2 without addresses', v2({ family: 0, body: Buffer.alloc(0) }), undefined],
  ['version 2 with a unix socket', v2({ family: 0x31, body: Buffer.alloc(216) }), undefined],
]

const REFUSED: readonly (readonly [string, Buffer, string])[] = [
  ['TLS', TLS_RECORD, 'missing'],
  ['HTTP', text('GET / HTTP/1.1\r\n'), 'missing'],
  ['PUT, which begins like PROXY', text('PUT / HTTP/1.1\r\n'), 'missing'],
  ['a lower-case header', text('proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n'), 'missing'],
  ['the signature of version 2 with a fault', text('\r\n\r\n\0\r\nQUIT\r'), 'missing'],
  ['a header without addresses', text('PROXY TCP4\r\n'), 'malformed'],
  ['an unknown family', text('PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n'), 'malformed'],
  ['UNKNOWNS', text('PROXY UNKNOWNS\r\n'), 'malformed'],
  ['IPv6 as TCP4', text('PROXY TCP4 ::1 ::1 1 2\r\n'), 'malformed'],
  ['IPv4 as TCP6', text('PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n'), 'malformed'],
  ['a number above 255', text('PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n'), 'malformed'],
  ['an octal number', text('PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n'), 'malformed'],
  ['three numbers', text('PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n'), 'malformed'],
  ['a zone', text('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n'), 'malformed'],
  ['a port above 65535', text('PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n'), 'malformed'],
  ['a port with a leading zero', text('PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n'), 'malformed'],
  ['two spaces', text('PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n'), 'malformed'],
  ['a tab', text('PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n'), 'malformed'],
  ['a space at the end', text('PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n'), 'malformed'],
  ['a line feed alone', text(`PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n${'x'.repeat(107)}`), 'malformed'],
  ['a line feed inside', text('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\nX\r\n'), 'malformed'],
  ['107 bytes without an end', text(`PROXY UNKNOWN ${'x'.repeat(93)}`), 'malformed'],
  ['an end after 107 bytes', text(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`), 'malformed'],
  ['version 1 in the form of 2', v2({ command: 0x11, body: Buffer.alloc(12) }), 'malformed'],
  ['version 3', v2({ command: 0x31, body: Buffer.alloc(12) }), 'malformed'],
  ['an unknown command', v2({ command: 0x22, body: Buffer.alloc(12) }), 'malformed'],
  ['datagrams over IPv4', v2({ family: 0x12, body: Buffer.alloc(12) }), 'malformed'],
  ['datagrams over IPv6', v2({ family: 0x22, body: Buffer.alloc(36) }), 'malformed'],
  ['an unknown family in version 2', v2({ family: 0x41, body: Buffer.alloc(12) }), 'malformed'],
  ['too short a length for IPv4', v2({ body: Buffer.alloc(11) }), 'malformed'],
  ['too short a length for IPv6', v2({ family: 0x21, body: Buffer.alloc(35) }), 'malformed'],
  ['too short a length for a unix socket', v2({ family: 0x31, body: Buffer.alloc(215) }), 'malformed'],
  [
    'a length over the limit, before its bytes',
    v2({ body: Buffer.alloc(0), length: V2_MAX_BYTES - 15 }),
    'malformed',
  ],
  [
    'a LOCAL length over the limit',
    v2({ command: 0x20, body: Buffer.alloc(0), length: 65_535 }),
    'malformed',
  ],
]

describe('a PROXY header', () => {
  it.each(ACCEPTED)('is read: %s', (_what, bytes, addresses) => {
    const endpoints = addresses && { address: addresses[0], localAddress: addresses[1] }
    const header: ProxyHeader = { kind: 'header', length: bytes.length, endpoints }
    expect(parseProxyHeader(bytes)).toEqual(header)
    // The rest belongs to TLS, even if it looks like another header.
    for (const rest of [TLS_RECORD, bytes, V2_SIGNATURE])
      expect(parseProxyHeader(Buffer.concat([bytes, rest]))).toEqual(header)
    for (let length = 0; length < bytes.length; length += 1)
      expect(parseProxyHeader(bytes.subarray(0, length)), `${length} bytes`).toEqual({ kind: 'incomplete' })
  })

  it.each(REFUSED)('is refused: %s', (_what, bytes, fault) => {
    const refused = { kind: 'refused', fault: `proxy-header-${fault}` }
    expect(parseProxyHeader(bytes)).toEqual(refused)
    expect(parseProxyHeader(Buffer.concat([bytes, TLS_RECORD]))).toEqual(refused)
  })

  it('gets the same verdict in whatever pieces it arrives, and never more bytes than the limit', () => {
    const starts = [...ACCEPTED, ...REFUSED].map(([, bytes]) => bytes)
    const bytes = fc
      .tuple(
        fc.constantFrom(...starts),
        fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 3 }),
        fc.uint8Array({ maxLength: 200 }),
      )
      .map(([start, changes, rest]) => {
        const changed = Buffer.concat([start, rest])
        for (const [at, byte] of changes) if (at < changed.length) changed[at] = byte
        return changed
      })
    fc.assert(
      fc.property(bytes, (sent) => {
        const whole = parseProxyHeader(sent)
        for (let length = 0; length < sent.length; length += 1) {
          const part = parseProxyHeader(sent.subarray(0, length))
          if (part.kind === 'incomplete') expect(length).toBeLessThan(V2_MAX_BYTES)
          else expect(part).toEqual(whole)
        }
      }),
      { numRuns: 300 },
    )
  })
})
