// Lists HTTP versions and upgrades between them.

import {
  AGENT,
  CHUNKED,
  get,
  head,
  HOST,
  LOGIN,
  passes,
  passesLast,
  put,
  refused,
  SMUGGLED,
  type AdversaryCase,
} from './cases.ts'

const version = (text: string, ...lines: string[]): string =>
  head(`GET /v2/ ${text}`, HOST, LOGIN, AGENT, ...lines)
const H2C = [
  'Connection: Upgrade, HTTP2-Settings',
  'Upgrade: h2c',
  'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA',
]

export const VERSIONS: readonly AdversaryCase[] = [
  passesLast('HTTP/1.0, as old health checks speak it', version('HTTP/1.0')),
  passesLast('HTTP/1.0 that wants to stay', version('HTTP/1.0', 'Connection: keep-alive')),
  passesLast(
    'HTTP/1.0 that wants to stay, and a request behind it',
    version('HTTP/1.0', 'Connection: keep-alive') + get('/v2/stranger'),
  ),
  passesLast('HTTP/1.0 with a length', put(['Content-Length: 5'], 'hello').replace('HTTP/1.1', 'HTTP/1.0')),
  refused('HTTP/1.0 with chunks', put([CHUNKED], `0\r\n\r\n${SMUGGLED}`).replace('HTTP/1.1', 'HTTP/1.0')),
  passesLast(
    'HTTP/1.0 that expects to be asked to continue',
    put(['Expect: 100-continue', 'Content-Length: 5'], 'hello').replace('HTTP/1.1', 'HTTP/1.0'),
  ),
  refused('HTTP/0.9 with a head', version('HTTP/0.9'), 505),
  refused('HTTP/0.9 without version', `GET /v2/\r\n${HOST}\r\n${LOGIN}\r\n\r\n`, 505),
  { what: 'HTTP/0.9 alone', bytes: 'GET /v2/\r\n', expected: ['end'], halfCloses: true },
  refused('HTTP/1.2', version('HTTP/1.2'), 505),
  refused('HTTP/1.11', version('HTTP/1.11'), 505),
  refused('HTTP/2.0', version('HTTP/2.0'), 505),
  refused('HTTP/2', version('HTTP/2'), 505),
  refused('HTTP/3.0', version('HTTP/3.0'), 505),
  refused('http/1.1 in small letters', version('http/1.1')),
  refused('version without a number', version('HTTP/'), 505),
  refused('version of something else', version('ICE/1.0')),
  passesLast('RTSP, which Node cannot tell from HTTP', version('RTSP/1.0')),
  refused('preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505),
  refused('preface of HTTP/2 with its settings', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 505),

  passesLast('h2c', get('/v2/', ...H2C)),
  passesLast('h2c and a request behind it', get('/v2/', ...H2C) + get('/v2/stranger')),
  passesLast('h2c and a preface behind it', `${get('/v2/', ...H2C)}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`),
  passesLast('h2c with a body', put([...H2C, 'Content-Length: 5'], 'hello')),
  passesLast('h2c with chunks', put([...H2C, CHUNKED], '5\r\nhello\r\n0\r\n\r\n')),
  passesLast('h2c named by another case', get('/v2/', 'connection: UPGRADE', 'UPGRADE: H2C')),
  passesLast(
    'websocket',
    get('/v2/', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'),
  ),
  {
    what: 'websocket of a stranger',
    bytes:
      head('GET /v2/stranger HTTP/1.1', HOST, AGENT, 'Connection: Upgrade', 'Upgrade: websocket') +
      get('/v2/'),
    expected: [401, 'end'],
  },
  passesLast('upgrade that Connection does not name', get('/v2/', 'Upgrade: h2c')),
  passes('settings of HTTP/2 alone', get('/v2/', 'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA')),

  passes('expectation of 100', put(['Expect: 100-continue', 'Content-Length: 5'], 'hello')),
  passes('expectation of 100 in capitals', put(['EXPECT: 100-CONTINUE', 'Content-Length: 5'], 'hello')),
  passes('expectation of 100 without a body', get('/v2/', 'Expect: 100-continue')),
  passes('expectation of 100 with chunks', put(['Expect: 100-continue', CHUNKED], '5\r\nhello\r\n0\r\n\r\n')),
  refused('expectation of something else', put(['Expect: 200-ok', 'Content-Length: 5'], 'hello'), 417),
  refused('expectation that is empty', put(['Expect:', 'Content-Length: 5'], 'hello'), 417),
  refused('expectation with a list', put(['Expect: 100-continue, x', 'Content-Length: 5'], 'hello'), 417),
  refused('two expectations', put(['Expect: 100-continue', 'Expect: 100-continue', 'Content-Length: 0'])),
]
