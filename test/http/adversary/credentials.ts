// Lists credentials, and sequences of requests on one connection.

import {
  AGENT,
  CHUNKED,
  get,
  head,
  HOST,
  LOGIN,
  put,
  refused,
  SMUGGLED,
  type AdversaryCase,
  type Expected,
} from './cases.ts'

const stranger = (...lines: string[]): string => head('GET /v2/stranger HTTP/1.1', HOST, AGENT, ...lines)
const strangersUpload = (lines: readonly string[], body: string): string =>
  head('PUT /v2/stranger HTTP/1.1', HOST, AGENT, ...lines) + body
const login = (text: string): string => `Authorization: Basic ${Buffer.from(text).toString('base64')}`
const entry = (what: string, bytes: string, ...expected: Expected[]): AdversaryCase => ({
  what,
  bytes,
  expected,
})
const GARBAGE = 'NONSENSE\r\n\r\n'

export const CREDENTIALS: readonly AdversaryCase[] = [
  entry('no login', stranger(), 401),
  entry('empty login', stranger('Authorization:'), 401),
  entry('login of nobody', stranger(login('evil:evil')), 401),
  entry('login with a NUL', stranger(login('alice:correct horse\0')), 401),
  entry('login that is Bearer', stranger('Authorization: Bearer evil'), 401),
  entry('login in the target', head('GET /v2/stranger?Authorization=evil HTTP/1.1', HOST, AGENT), 401),
  entry('login as Proxy-Authorization', stranger(LOGIN.replace('Authorization', 'Proxy-Authorization')), 401),
  entry('login with underscores', stranger(LOGIN.replace('Authorization', 'Authorization_')), 401),
  entry('login in a cookie', stranger(`Cookie: ${LOGIN}`), 401),
  entry('login and another behind a comma', stranger(`${LOGIN}, Basic ZXZpbDpldmls`), 401),
  entry('claim to be somebody, without a login', stranger('X-Forwarded-User: alice'), 401),
  refused('login twice', stranger(LOGIN, LOGIN)),
  refused('login behind a wrong one', stranger(login('evil:evil'), LOGIN)),
  refused('login before a wrong one', stranger(LOGIN, login('evil:evil'))),
  refused('login that is folded', stranger(LOGIN.replace('Basic ', 'Basic\r\n '))),
  refused('login behind a bare CR', stranger(`X-A: b\r${LOGIN}`)),
  entry('login in a trailer', strangersUpload([CHUNKED], `0\r\n${LOGIN}\r\n\r\n`), 401, 'end'),

  entry('two requests', get('/v2/') + get('/v2/'), 200, 200),
  entry('sixteen requests', get('/v2/').repeat(16), ...Array.from({ length: 16 }, () => 200)),
  entry('stranger before alice', stranger() + get('/v2/'), 401, 200),
  entry('alice before a stranger', get('/v2/') + stranger(), 200, 401),
  entry('stranger between two of alice', get('/v2/') + stranger() + get('/v2/'), 200, 401, 200),
  entry('upload before a stranger', put(['Content-Length: 5'], 'hello') + stranger(), 200, 401),
  entry('chunks before a stranger', put([CHUNKED], '5\r\nhello\r\n0\r\n\r\n') + stranger(), 200, 401),
  entry('refused request before alice', get('/v2/%2e%2e') + get('/v2/stranger'), 400, 'end'),
  entry(
    'method that is refused before alice',
    head('TRACE /v2/ HTTP/1.1', HOST, LOGIN) + get('/v2/stranger'),
    405,
    'end',
  ),
  entry(
    'alice before a refused request before alice',
    get('/v2/') + get('/v2/a;b') + get('/v2/stranger'),
    200,
    400,
    'end',
  ),
  entry(
    'host that is no URL before alice',
    head('GET /v2/ HTTP/1.1', 'Host: [', LOGIN, AGENT) + get('/v2/stranger'),
    400,
    'end',
  ),
  entry(
    'upload whose host is no URL before alice',
    head('PUT /v2/x HTTP/1.1', 'Host: [', LOGIN, AGENT, 'Content-Length: 2') + 'ab' + get('/v2/stranger'),
    400,
    'end',
  ),
  entry(
    'missing host before alice',
    head('GET /v2/ HTTP/1.1', LOGIN, AGENT) + get('/v2/stranger'),
    400,
    'end',
  ),
  entry('nonsense before alice', GARBAGE + get('/v2/stranger'), 400, 'end'),
  entry('alice before nonsense', get('/v2/') + GARBAGE, 200, 'end'),
  entry(
    'alice before a smuggler',
    get('/v2/') + put(['Content-Length: 0', CHUNKED], `0\r\n\r\n${SMUGGLED}`),
    200,
    'end',
  ),
  entry('alice who closes before nonsense', get('/v2/', 'Connection: close') + GARBAGE, 200, 'end'),
  entry('alice who closes before alice', get('/v2/', 'Connection: close') + get('/v2/stranger'), 200, 'end'),
  entry('alice before a body that is too long', put(['Content-Length: 2'], `ok${GARBAGE}`), 200, 'end'),
  entry(
    "stranger's upload with a request in it",
    strangersUpload([`Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    401,
    'end',
  ),
  entry(
    "stranger's upload with alice in it",
    strangersUpload([`Content-Length: ${get('/v2/stranger').length}`], get('/v2/stranger')),
    401,
    'end',
  ),
  entry(
    "stranger's upload before alice",
    strangersUpload(['Content-Length: 2'], 'ok') + get('/v2/stranger'),
    401,
    'end',
  ),
  entry(
    "stranger's chunks before alice",
    strangersUpload([CHUNKED], '2\r\nok\r\n0\r\n\r\n') + get('/v2/stranger'),
    401,
    'end',
  ),
  entry(
    'stranger who expects to be asked, and sends at once',
    strangersUpload(['Expect: 100-continue', `Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    401,
    'end',
  ),
  entry(
    'stranger who expects to be asked, and sends alice instead',
    strangersUpload(['Expect: 100-continue', 'Content-Length: 5'], get('/v2/stranger')),
    401,
    'end',
  ),
  entry(
    'alice who expects to be asked, and sends a request too many',
    put(['Expect: 100-continue', 'Content-Length: 5'], `hello${stranger()}`),
    200,
    401,
  ),
]
