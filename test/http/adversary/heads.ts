// Lists header lines: their ends, characters, sizes and number.

import { AGENT, get, head, HOST, LOGIN, passes, put, refused, SMUGGLED, type AdversaryCase } from './cases.ts'

const with_ = (...lines: string[]): string => get('/v2/', ...lines)
const many = (count: number): readonly string[] => Array.from({ length: count }, () => 'a: b')

const ranges = (count: number): string =>
  `Range: bytes=${Array.from({ length: count }, (_, i) => `${10_737_418_240 + 4 * i}-${10_737_418_241 + 4 * i}`).join(',')}`

export const HEADS: readonly AdversaryCase[] = [
  refused('line that a bare LF ends', head(`GET /v2/ HTTP/1.1`, `${HOST}\nX-A: b`, LOGIN, AGENT)),
  refused('request line that a bare LF ends', `GET /v2/ HTTP/1.1\n${HOST}\r\n${LOGIN}\r\n\r\n`, 505),
  refused('head of bare LFs', get('/v2/').replaceAll('\r\n', '\n'), 505),
  refused('head whose last line a bare LF ends', with_().replace(/\r\n$/, '\n')),
  refused(
    'length that hides behind a bare LF',
    put([`X-A: b\nContent-Length: ${SMUGGLED.length}`], SMUGGLED),
  ),
  refused(
    'chunks that hide behind a bare CR',
    put([`X-A: b\rTransfer-Encoding: chunked`], `0\r\n\r\n${SMUGGLED}`),
  ),
  refused('header that hides behind a bare CR', with_('X-A: b\rX-Forwarded-User: evil')),
  refused('line that ends with two CRs', with_('X-A: b\r')),
  refused('head that a CR without LF ends', `${with_().slice(0, -1)}X`),

  refused('folded line', with_('X-A: b\r\n c')),
  refused('line folded with a tab', with_('X-A: b\r\n\tc')),
  refused('folded length', put(['Content-Length:\r\n 5'], 'hello')),
  refused('folded transfer coding', put(['Transfer-Encoding:\r\n chunked'], `0\r\n\r\n`)),
  refused(
    'transfer coding folded behind its value',
    put(['Transfer-Encoding: chunked\r\n , identity'], '0\r\n\r\n'),
  ),
  refused('first line folded', head('GET /v2/ HTTP/1.1', ` ${HOST}`, HOST, LOGIN)),
  refused('blank line that is a folded nothing', with_('X-A: b', ' ', 'X-B: c')),

  refused('space before the colon', put(['Content-Length : 5'], 'hello')),
  refused('tab before the colon', put(['Transfer-Encoding\t: chunked'], `0\r\n\r\n${SMUGGLED}`)),
  refused('space before a name', with_('X-A: b', ' X-Forwarded-User: evil')),
  refused('space in a name', with_('Content Length: 5')),
  refused('no colon', with_('X-A')),
  refused('no name', with_(': b')),
  refused('NUL in a value', with_('X-A: b\0c')),
  refused('NUL in a name', with_('X-A\0: b')),
  refused('NUL before the colon of a length', put(['Content-Length\0: 5'], 'hello')),
  refused('control character in a value', with_('X-A: b\x01c')),
  refused('vertical tab before a value', put(['Content-Length:\x0b5'], 'hello')),
  refused('form feed in a value', with_('X-A: b\x0cc')),
  refused('DEL in a value', with_('X-A: b\x7f')),
  refused('escape sequence in a value', with_('X-A: \x1b[2J')),
  refused('byte outside ASCII in a name', with_('X-\xc4: b')),
  refused('parenthesis in a name', with_('X(A): b')),
  refused('quoted name', with_('"Content-Length": 5')),
  passes('byte outside ASCII in a value', with_('X-A: \xc4')),
  passes('tabs and spaces around a value', with_('X-A:\t  b \t')),
  passes('empty value', with_('X-A:')),

  passes('empty lines before the request', `\r\n\r\n${with_()}`),
  refused('space before the request', ` ${with_()}`),
  refused('tab between method and target', with_().replace('GET /', 'GET\t/')),
  refused('space behind the version', with_().replace('HTTP/1.1', 'HTTP/1.1 '), 505),
  refused('no HTTP at all', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'),
  refused('TLS inside TLS', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'),

  passes('as many headers as may be', with_(...many(190))),
  refused('more headers than may be', with_(...many(250)), 431),
  refused(
    'length behind more headers than Node keeps',
    put([...many(2_500), `Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    431,
  ),
  passes('header as long as may be', with_(`Accept: ${'b'.repeat(8_000)}`)),
  ...['Accept', 'Connection', 'Transfer-Encoding', 'Expect', 'tracestate'].map((name) =>
    refused(`${name} longer than may be`, with_(`${name}: ${'b'.repeat(9_000)}`), 431),
  ),
  refused(
    'login longer than may be',
    head('GET /v2/ HTTP/1.1', HOST, AGENT, `${LOGIN}${'A'.repeat(9_000)}`),
    431,
  ),
  passes('long cookie, which ends here', with_(`Cookie: evil=${'b'.repeat(9_000)}`)),
  passes('long header that nobody knows, which ends here', with_(`X-A: evil${'b'.repeat(9_000)}`)),
  refused('head longer than may be', with_(`X-A: ${'b'.repeat(8_000)}`, `X-B: ${'b'.repeat(9_000)}`), 431),
  refused('header without end', `${with_().slice(0, -2)}X-A: ${'b'.repeat(60_000)}`, 431),
  refused('head that Range leaves no more room for', with_(ranges(1_024), `X-A: ${'b'.repeat(17_000)}`), 431),
  passes('as many ranges as may be', with_(ranges(1_024))),
  refused('more ranges than may be', with_(ranges(1_025))),
  refused('more ranges than fit into a line', with_(ranges(1_900))),
  refused('range longer than may be', with_(`Range: bytes=0-${'1'.repeat(33_000)}`), 431),
  refused('ranges in two lines', with_('Range: bytes=0-1', 'Range: bytes=2-3')),
  passes('long name, which ends here', with_(`X-${'a'.repeat(9_000)}: evil`)),
  refused('name longer than a head may be', with_(`X-${'a'.repeat(17_000)}: b`), 431),
  passes('target as long as may be', get(`/v2/?a=${'b'.repeat(8_000)}`)),
  refused('target longer than may be', get(`/v2/?a=${'b'.repeat(9_000)}`), 414),
  refused('path of very many segments', get(`/v2${'/a'.repeat(5_000)}`), 414),
  refused('target longer than a head may be', get(`/v2/${'a'.repeat(20_000)}`), 431),
]
