import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { ALICE, sidecarForTest, startSidecar, type TestSidecar } from '../fixtures/sidecar.ts'
import { basic, get, openWire } from '../fixtures/wire.ts'

const TOKEN = Buffer.from(ALICE).toString('base64')
const latin1 = (text: string): string => basic(Buffer.from(text, 'latin1'))

// The default throttle would refuse this many failures.
const env = { SIDECAR_THROTTLE: 'off' }

let sidecar: TestSidecar
let challenge: string
beforeAll(async () => {
  sidecar = await startSidecar({ env })
})
afterAll(() => sidecar.stop())

it('a wrong password gets the challenge that the other tests compare with', async () => {
  challenge = withoutTime(await answerTo(get('/v2/', basic('alice:wrong'))))
  expect(challenge).toMatch(/^HTTP\/1\.1 401 [^]*\r\nWWW-Authenticate: Basic realm="Registry"\r\n/)
})

describe('the same challenge is the answer to', () => {
  it.each<[what: string, ...lines: string[]]>([
    ['no header'],
    ['an empty header', 'Authorization:'],
    ['a header of blanks', 'Authorization: \t '],
    ['the scheme alone', 'Authorization: Basic'],
    ['the scheme with blanks behind it', 'Authorization: Basic   '],
    ['the token alone', `Authorization: ${TOKEN}`],
    ['a tab for the space', `Authorization: Basic\t${TOKEN}`],
    ['another scheme', `Authorization: Bearer ${TOKEN}`],
    ['credentials for a proxy', `Proxy-Authorization: Basic ${TOKEN}`],
    ['a name with an underscore', `Authorization_: Basic ${TOKEN}`],
    ['credentials in clear', `Authorization: Basic ${ALICE}`],
    ['two credentials in one line', `Authorization: Basic ${TOKEN}, Basic ${TOKEN}`],
    ['a parameter behind the token', `Authorization: Basic ${TOKEN} realm="Registry"`],
    ['a quoted token', `Authorization: Basic "${TOKEN}"`],
    [
      'the alphabet of URLs',
      `Authorization: Basic ${Buffer.from('a:\xff\xfe', 'latin1').toString('base64url')}`,
    ],
    ['a blank inside the token', `Authorization: Basic ${TOKEN.slice(0, 4)} ${TOKEN.slice(4)}`],
    ['half of the padding', 'Authorization: Basic YTpiYw='],
    ['too much padding', `Authorization: Basic ${TOKEN}=`],
    ['bytes beyond ASCII', `Authorization: Basic ${TOKEN}\xe9\xff`],
    ['an empty user', basic(':correct horse')],
    ['an empty password', basic('alice:')],
    ['neither', basic(':')],
    ['no colon', basic('alice')],
    ['a NUL behind the password', basic(`${ALICE}\0`)],
    ['a NUL in two bytes behind the password', latin1(`${ALICE}\xc0\x80`)],
    ['a line feed behind the password', basic(`${ALICE}\n`)],
    ['a line feed in the name', basic(`x\n${ALICE}`)],
    ['a byte order mark before the name', basic(`\ufeff${ALICE}`)],
    ['half a surrogate pair', latin1('alice:\xed\xa0\x80')],
    ['an overlong slash', latin1('alice:\xc0\xaf')],
    ['a password of 73 bytes', basic(`alice:${'x'.repeat(73)}`)],
    ['a name of 6 KB', basic(`${'a'.repeat(6_000)}:b`)],
    ['a token of 8 KB', `Authorization: Basic ${'QUFB'.repeat(2_040)}`],
    ['names of objects', basic('__proto__:constructor')],
  ])('%s', async (_what, ...lines) => {
    expect(withoutTime(await answerTo(get('/v2/', ...lines)))).toBe(challenge)
  })

  it('credentials in the trailer of an upload', async () => {
    const upload = ['POST /v2/a/blobs/uploads/ HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked']
    const bytes = [...upload, '', '0', `Authorization: Basic ${TOKEN}`, '', ''].join('\r\n')
    expect(withoutTime(await answerTo(bytes))).toBe(challenge)
  })
})

describe('the request is refused as malformed for', () => {
  it.each<[what: string, ...lines: string[]]>([
    ['two headers', `Authorization: Basic ${TOKEN}`, `Authorization: Basic ${TOKEN}`],
    ['a wrong header before the right one', 'Authorization: Basic eDp5', `authorization: Basic ${TOKEN}`],
    ['a right header before the wrong one', `Authorization: Basic ${TOKEN}`, 'AUTHORIZATION: Bearer x'],
    ['an empty header beside the right one', 'Authorization:', `Authorization: Basic ${TOKEN}`],
    ['a NUL in the header', `Authorization: Basic ${TOKEN}\0`],
    ['an escape character in the header', `Authorization: \x1bBasic ${TOKEN}`],
    ['a DEL in the header', `Authorization: Basic ${TOKEN}\x7f`],
    ['a folded header', 'Authorization: Basic', ` ${TOKEN}`],
    ['a carriage return in the header', `Authorization: Basic ${TOKEN}\rX: y`],
    ['a line feed in the header', `Authorization: Basic ${TOKEN}\nX: y`],
    ['a blank before the colon', `Authorization : Basic ${TOKEN}`],
  ])('%s', async (_what, ...lines) => {
    const answer = await answerTo(get('/v2/', ...lines))
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*\r\nConnection: close\r\n[^]*"code":"UNSUPPORTED"/)
  })
})

// Node's parser limits the whole head to 16 KB, so no login is longer.
it.each([16 * 1024, 1024 * 1024])('a header of %i bytes is refused as too large', async (length) => {
  const answer = await answerTo(get('/v2/', `Authorization: Basic ${'A'.repeat(length)}`))
  expect(answer).toMatch(/^HTTP\/1\.1 431 [^]*\r\nConnection: close\r\n[^]*"the request head is too large"/)
})

describe('the right login', () => {
  it.each<[what: string, line: string]>([
    ['in small letters', `authorization: basic ${TOKEN}`],
    ['in capitals', `AUTHORIZATION: BASIC ${TOKEN}`],
    ['without a blank after the colon', `Authorization:Basic ${TOKEN}`],
    ['with blanks and tabs around', `Authorization: \t Basic   ${TOKEN} \t`],
    ['without padding', `Authorization: Basic ${TOKEN.replace(/=+$/, '')}`],
  ])('passes %s', async (_what, line) => {
    const upstream = await upstreamForTest(answering(OK))
    const forwarding = await sidecarForTest({ upstreamPort: upstream.port, env })
    const wire = await openWire(forwarding)
    expect(await wire.send(get('/v2/', line))).toMatch(/^HTTP\/1\.1 200 /)
  })
})

it('no request above caused an internal error, and the sidecar still answers', async () => {
  expect(sidecar.lines.filter(({ status, err }) => Number(status) >= 500 || err !== undefined)).toEqual([])
  expect(withoutTime(await answerTo(get('/v2/')))).toBe(challenge)
})

async function answerTo(bytes: string): Promise<string> {
  const wire = await openWire(sidecar)
  return wire.send(bytes)
}

function withoutTime(answer: string): string {
  return answer.replace(/^(?:Date|Connection|Keep-Alive): .*\r\n/gm, '')
}
