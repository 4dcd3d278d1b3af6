// Lists body lengths, transfer codings, and methods without a body.

import {
  AGENT,
  CHUNKED,
  get,
  head,
  HOST,
  LOGIN,
  passes,
  put,
  refused,
  SMUGGLED,
  type AdversaryCase,
} from './cases.ts'

const length = (value: string, body = 'hello'): string => put([`Content-Length: ${value}`], body)
const coding = (value: string, body = `0\r\n\r\n${SMUGGLED}`): string =>
  put([`Transfer-Encoding: ${value}`], body)
const SMUGGLED_CHUNK = `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`
const bodyOn = (method: string, lines: readonly string[], body: string): string =>
  head(`${method} /v2/a HTTP/1.1`, HOST, LOGIN, AGENT, ...lines) + body

export const FRAMING: readonly AdversaryCase[] = [
  passes('length', length('5')),
  passes('length of nothing', length('0', '')),
  passes('body that looks like a request', length(String(SMUGGLED.length), SMUGGLED)),
  refused('length with a plus', length('+5')),
  refused('length with a minus', length('-5')),
  refused('length in hexadecimal', length('0x5')),
  refused('length with a fraction', length('5.0')),
  refused('length with an exponent', length('5e0')),
  refused('length with leading zeros', length('0005')),
  refused('length that is octal eight to some', length('010', 'hellohello')),
  refused('length with a parameter', length('5;5')),
  refused('length that is a list', length('5, 5')),
  refused('length that is a list of two', length('0, 5')),
  refused('length with a space inside', length('1 5')),
  refused('length with an underscore', length('0_5')),
  refused('length in quotes', length('"5"')),
  refused('length of other digits', length('\xd9\xa5')),
  refused('length that is empty', length('', '')),
  refused('length beyond 64 bits', length('18446744073709551621')),
  refused('length beyond what is exact', length('9999999999999999')),
  refused('length of very many digits', length('9'.repeat(400))),
  refused('two equal lengths', put(['Content-Length: 5', 'Content-Length: 5'], 'hello')),
  refused(
    'two lengths, the first of nothing',
    put(['Content-Length: 0', `content-length: ${SMUGGLED.length}`], SMUGGLED),
  ),
  refused(
    'two lengths, the last of nothing',
    put([`Content-Length: ${SMUGGLED.length}`, 'Content-Length: 0'], SMUGGLED),
  ),
  passes('length with an underscore in its name, which is none', put(['Content_Length: 5'])),

  refused('length and chunks', put(['Content-Length: 5', CHUNKED], `0\r\n\r\n${SMUGGLED}`)),
  refused(
    'chunks and length',
    put([CHUNKED, `Content-Length: ${SMUGGLED.length + 5}`], `0\r\n\r\n${SMUGGLED}`),
  ),
  refused('chunks and a length of nothing', put([CHUNKED, 'Content-Length: 0'], SMUGGLED_CHUNK)),
  refused('chunks twice', put([CHUNKED, CHUNKED], `0\r\n\r\n${SMUGGLED}`)),
  refused('chunks and identity', put([CHUNKED, 'Transfer-Encoding: identity'], `0\r\n\r\n${SMUGGLED}`)),
  refused('identity and chunks', put(['Transfer-Encoding: identity', CHUNKED], `0\r\n\r\n${SMUGGLED}`)),
  passes('chunks in capitals', coding('CHUNKED', '5\r\nhello\r\n0\r\n\r\n')),
  refused('coding before chunked', coding('gzip, chunked')),
  refused('chunked before a coding', coding('chunked, gzip')),
  refused('chunked twice in a list', coding('chunked, chunked')),
  refused('chunked behind a comma', coding(', chunked')),
  refused('chunked before a comma', coding('chunked,')),
  refused('chunked with a parameter', coding('chunked;a=b')),
  refused('chunked in quotes', coding('"chunked"')),
  refused('chunked misspelt', coding('xchunked')),
  refused('chunked cut short', coding('chunk')),
  refused('chunked behind a vertical tab', coding('\x0bchunked')),
  refused('chunked behind a no-break space', coding('\xa0chunked')),
  refused('chunked with a NUL', coding('chunked\0')),
  refused('coding that is identity', coding('identity', SMUGGLED)),
  refused('coding that is gzip', coding('gzip', SMUGGLED)),
  refused('coding that is empty', coding('', SMUGGLED)),
  refused('coding nobody knows', coding('cow', SMUGGLED)),
  passes('coding with an underscore in its name, which is none', put(['Transfer_Encoding: chunked'])),

  ...['GET', 'HEAD', 'DELETE', 'OPTIONS'].flatMap((method) => [
    refused(`${method} with a length`, bodyOn(method, [`Content-Length: ${SMUGGLED.length}`], SMUGGLED)),
    refused(`${method} with chunks`, bodyOn(method, [CHUNKED], SMUGGLED_CHUNK)),
  ]),
  passes('GET with a length of nothing', get('/v2/', 'Content-Length: 0')),
  passes('DELETE with a length of nothing', bodyOn('DELETE', ['Content-Length: 0'], '')),

  refused(
    'form in the body, whose fields the registry would believe',
    bodyOn(
      'POST',
      ['Content-Type: application/x-www-form-urlencoded', 'Content-Length: 13'],
      'from=stranger',
    ),
  ),
  refused(
    'form of several parts in the body',
    bodyOn('POST', ['Content-Type: Multipart/Form-Data; boundary=x', 'Content-Length: 13'], 'from=stranger'),
  ),
  refused(
    'form in chunks',
    bodyOn(
      'POST',
      ['Content-Type:application/x-www-form-urlencoded ; a=b', CHUNKED],
      'd\r\nfrom=stranger\r\n0\r\n\r\n',
    ),
  ),
  refused('two types', put(['Content-Type: a/b', 'Content-Type: c/d', 'Content-Length: 0'])),
  passes(
    'form without a body, as curl sends it',
    bodyOn('POST', ['Content-Type: application/x-www-form-urlencoded', 'Content-Length: 0'], ''),
  ),
]
