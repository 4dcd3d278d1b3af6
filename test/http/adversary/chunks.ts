// Lists chunked bodies.
//
// The valid head of such a request has been forwarded when its body turns out malformed.

import { chunkedPut, cut, passes, SMUGGLED, type AdversaryCase } from './cases.ts'

const END = '0\r\n\r\n'

export const CHUNKS: readonly AdversaryCase[] = [
  passes('one chunk', chunkedPut(`5\r\nhello\r\n${END}`)),
  passes('many chunks', chunkedPut(`${'1\r\nx\r\n'.repeat(50)}${END}`)),
  passes(
    'chunk that looks like a request',
    chunkedPut(`${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${END}`),
  ),
  passes('chunk with an extension', chunkedPut(`5;a=b\r\nhello\r\n${END}`)),
  passes('chunk with a quoted extension', chunkedPut(`5;a="b;c"\r\nhello\r\n${END}`)),
  passes('chunk size with leading zeros', chunkedPut(`${'0'.repeat(60)}5\r\nhello\r\n${END}`)),
  passes('chunk size in capitals', chunkedPut(`A\r\nhellohello\r\n${END}`)),
  passes('last chunk of several zeros', chunkedPut('000\r\n\r\n')),
  cut('chunk extension that a bare LF ends', chunkedPut(`5;a=b\nhello\r\n${END}${SMUGGLED}`)),
  cut('chunk extension with a bare CR', chunkedPut(`5;a\rb\r\nhello\r\n${END}`)),
  cut('chunk extension with a control character', chunkedPut(`5;a\x01\r\nhello\r\n${END}`)),
  cut('chunk extension longer than may be', chunkedPut(`5;${'a'.repeat(20_000)}\r\nhello\r\n${END}`)),
  cut('chunk size with a space behind it', chunkedPut(`5 \r\nhello\r\n${END}`)),
  cut('chunk size with a tab behind it', chunkedPut(`5\t\r\nhello\r\n${END}`)),
  cut('chunk size with a space before it', chunkedPut(` 5\r\nhello\r\n${END}`)),
  cut('chunk size with a space before its extension', chunkedPut(`5 ;a\r\nhello\r\n${END}`)),
  cut('chunk size with a minus', chunkedPut(`-5\r\nhello\r\n${END}`)),
  cut('chunk size with a plus', chunkedPut(`+5\r\nhello\r\n${END}`)),
  cut('chunk size with 0x', chunkedPut(`0x5\r\nhello\r\n${END}`)),
  cut('chunk size with an underscore', chunkedPut(`0_5\r\nhello\r\n${END}`)),
  cut('chunk size with a letter behind it', chunkedPut(`5g\r\nhello\r\n${END}`)),
  cut('chunk size beyond 64 bits', chunkedPut(`10000000000000005\r\nhello\r\n${END}`)),
  cut('chunk size that is empty', chunkedPut(`\r\nhello\r\n${END}`)),
  cut('chunk size that a bare LF ends', chunkedPut(`5\nhello\r\n${END}`)),
  cut('chunk size that a bare CR ends', chunkedPut(`5\rhello\r\n${END}`)),
  cut('chunk without its line end', chunkedPut(`5\r\nhello${END}`)),
  cut('chunk that a bare LF ends', chunkedPut(`5\r\nhello\n${END}`)),
  cut('chunk that other bytes end', chunkedPut(`5\r\nhelloXX${END}`)),
  cut('chunk longer than it says', chunkedPut(`3\r\nhello\r\n${END}`)),
  cut('last chunk of bare LFs', chunkedPut(`0\n\n${SMUGGLED}`)),
  cut('last chunk whose end is a bare LF', chunkedPut(`0\r\n\n${SMUGGLED}`)),
  {
    ...cut('chunk that never ends', chunkedPut('ffffffffffffffff\r\nhello')),
    halfCloses: true,
  },
  { ...cut('body that breaks off', chunkedPut('5\r\nhe')), halfCloses: true },

  passes('trailer', chunkedPut('0\r\nX-A: b\r\n\r\n')),
  passes(
    'trailer that says who one is',
    chunkedPut('0\r\nX-Forwarded-User: evil\r\nForwarded: for=evil\r\n\r\n'),
  ),
  passes('trailer with another login', chunkedPut('0\r\nAuthorization: Basic ZXZpbDpldmls\r\n\r\n')),
  passes('trailer with another host', chunkedPut('0\r\nHost: evil\r\n\r\n')),
  cut('trailer with a length', chunkedPut(`0\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`)),
  cut('trailer with a transfer coding', chunkedPut(`0\r\nTransfer-Encoding: chunked\r\n\r\n${SMUGGLED}`)),
  cut('trailer that is folded', chunkedPut('0\r\nX-A: b\r\n c\r\n\r\n')),
  cut('trailer with a space before its colon', chunkedPut('0\r\nX-A : b\r\n\r\n')),
  cut('trailer that a bare LF ends', chunkedPut(`0\r\nX-A: b\n\r\n${SMUGGLED}`)),
]
