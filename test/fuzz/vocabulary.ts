// Lists the requests, headers and bytes that the fuzzer combines.

import { AGENT, CHUNKED, head, HOST, LOGIN, SMUGGLED } from '../http/adversary/cases.ts'

const LINES = [
  HOST,
  LOGIN,
  AGENT,
  'Accept: application/vnd.oci.image.index.v1+json, */*',
  'Accept-Encoding: gzip',
]
const UPLOAD = '/v2/team/app/blobs/uploads/6ba7b810-9dad-11d1-80b4-00c04fd430c8?_state=abc'

/** Requests as registry clients make them. */
export const REQUESTS: readonly string[] = [
  head('GET /v2/ HTTP/1.1', ...LINES),
  head('GET /v2/ HTTP/1.1', HOST, AGENT),
  head('HEAD /v2/team/app/manifests/1.0 HTTP/1.1', ...LINES),
  head(`GET /v2/team/app/blobs/sha256:${'0'.repeat(64)} HTTP/1.1`, ...LINES, 'Range: bytes=0-99'),
  head('GET /v2/_catalog?n=100&last=team%2Fapp HTTP/1.1', ...LINES, 'Connection: keep-alive'),
  head('DELETE /v2/team/app/manifests/1.0 HTTP/1.1', ...LINES),
  head('OPTIONS /v2/ HTTP/1.1', ...LINES),
  head('POST /v2/team/app/blobs/uploads/ HTTP/1.1', ...LINES, 'Content-Length: 0'),
  head(`PATCH ${UPLOAD} HTTP/1.1`, ...LINES, CHUNKED) + '5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\n\r\n',
  head(`PATCH ${UPLOAD} HTTP/1.1`, ...LINES, 'Content-Range: 0-4', 'Content-Length: 5') + 'hello',
  head(`PUT ${UPLOAD}&digest=sha256:0 HTTP/1.1`, ...LINES, `Content-Length: ${SMUGGLED.length}`) + SMUGGLED,
  head(`PUT ${UPLOAD} HTTP/1.1`, ...LINES, CHUNKED) +
    `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\nX-A: b\r\n\r\n`,
  head(`PUT ${UPLOAD} HTTP/1.1`, ...LINES, 'Expect: 100-continue', 'Content-Length: 5') + 'hello',
  head('PUT /v2/team/app/manifests/1.0 HTTP/1.1', HOST, AGENT, 'Content-Length: 2') + '{}',
  head('GET /v2/ HTTP/1.0', ...LINES),
]

/** Headers that influence framing, routing or identity. */
export const NAMES = [
  'Content-Length',
  'Transfer-Encoding',
  'Host',
  'Authorization',
  'Connection',
  'Expect',
  'Upgrade',
  'Trailer',
  'TE',
  'X-Forwarded-User',
  'X_Forwarded_User',
  'X-Forwarded-For',
  'Forwarded',
  'X-Real-IP',
  'X-Request-Id',
  'Cookie',
  'Range',
  'Content-Type',
]

/** Values that have confused servers. */
export const VALUES = [
  '0',
  '5',
  '05',
  '+5',
  '5, 5',
  '-1',
  '0x5',
  String(SMUGGLED.length),
  '99999999999999999999',
  'chunked',
  'Chunked ',
  'xchunked',
  'chunked, identity',
  'identity',
  'gzip, chunked',
  'close',
  'keep-alive, Content-Length',
  'Transfer-Encoding, Host',
  'upgrade',
  'h2c',
  '100-continue',
  'mallory',
  'localhost',
  'mallory:99999',
  'bytes=0-1',
  'application/x-www-form-urlencoded',
  '',
]

/** Bytes that some parser treats as a separator. */
export const BYTES = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\n\n',
  ' ',
  '\t',
  '\0',
  ':',
  ',',
  ';',
  '0',
  '\x0b',
  '\x7f',
  '\x80',
  '\xff',
  '%2e',
  '/',
  '\\',
  '"',
  '_',
  '-',
  '#',
  '?',
]
