// Tests which challenge a 401 carries.

import { describe, expect, it } from 'vitest'
import {
  challengeFor as formatFor,
  isBrowser,
  type ChallengedRequest,
  type ChallengeMode,
} from '../../../../src/http/pipeline/login/challenge.ts'

const BASIC = 'Basic realm="Registry"'
const BEARER = 'Bearer realm="https://registry.example:8443/token",service="registry-sidecar"'

interface Given extends Partial<ChallengedRequest> {
  readonly mode?: ChallengeMode
  readonly namesAnonymous?: boolean
  readonly demandsCertificate?: boolean
}

function challengeFor({
  mode = 'auto',
  namesAnonymous = true,
  demandsCertificate = false,
  ...request
}: Given) {
  const options = { mode, realm: 'Registry', namesAnonymous: () => namesAnonymous, demandsCertificate }
  const plain = {
    host: 'registry.example:8443',
    isBrowser: false,
    isPing: false,
    tokenError: undefined,
    scope: undefined,
  }
  return formatFor({ ...plain, ...request }, options)
}

const PULL = 'repository:app:pull'

describe('where rules name anonymous', () => {
  it.each<[what: string, given: Given, expected: string]>([
    ['the ping asks for a token', { isPing: true }, BEARER],
    ['all else asks for a password', { scope: PULL }, BASIC],
    ['the ping asks a browser for a password', { isPing: true, isBrowser: true }, BASIC],
    [
      'a token of anonymous lacks a right',
      { tokenError: 'insufficient_scope', scope: PULL },
      `${BEARER},scope="repository:app:pull",error="insufficient_scope"`,
    ],
    ['a token is invalid', { tokenError: 'invalid_token' }, `${BEARER},error="invalid_token"`],
    [
      'an invalid token on the ping, which never has a scope',
      { isPing: true, tokenError: 'invalid_token', scope: 'repository::pull' },
      `${BEARER},error="invalid_token"`,
    ],
    ['client certificates are demanded', { isPing: true, demandsCertificate: true }, BASIC],
    ['basic is set', { mode: 'basic', isPing: true, tokenError: 'invalid_token' }, BASIC],
    ['bearer is set, on the ping', { mode: 'bearer', isPing: true }, BEARER],
    ['bearer is set', { mode: 'bearer', scope: PULL }, `${BEARER},scope="repository:app:pull"`],
    ['bearer is set, for a browser', { mode: 'bearer', isBrowser: true }, BASIC],
    [
      'bearer is set, with client certificates',
      { mode: 'bearer', isPing: true, demandsCertificate: true },
      BASIC,
    ],
  ])('%s', (_what, given, expected) => {
    expect(challengeFor(given)).toBe(expected)
  })
})

describe('where rules do not name anonymous', () => {
  it.each<[what: string, given: Given, expected: string]>([
    ['the ping asks for a password', { isPing: true }, BASIC],
    ['so does a token that has expired', { tokenError: 'invalid_token' }, BASIC],
    ['bearer asks for a token all the same', { mode: 'bearer', isPing: true }, BEARER],
  ])('%s', (_what, given, expected) => {
    expect(challengeFor({ ...given, namesAnonymous: false })).toBe(expected)
  })
})

describe('the realm', () => {
  const realmFor = (host: string | undefined): string | undefined =>
    /^Bearer realm="([^"]*)"/.exec(challengeFor({ isPing: true, host }))?.[1]

  it.each([
    ['registry.example', 'https://registry.example/token'],
    ['registry.example:443', 'https://registry.example:443/token'],
    ['REGISTRY.Example:8443', 'https://REGISTRY.Example:8443/token'],
    ['172.17.0.1:5000', 'https://172.17.0.1:5000/token'],
    ['[2001:db8::1]:8443', 'https://[2001:db8::1]:8443/token'],
  ])('has host and port exactly as sent: %s', (host, realm) => {
    expect(realmFor(host)).toBe(realm)
    expect(realm).not.toContain('?')
  })

  it.each([
    ['a quote', 'a",scope="b'],
    ['a comma', 'a,b'],
    ['the end of a line', 'a\r\nSet-Cookie: b'],
    ['a user', 'user:password@a'],
    ['a path', 'a/b'],
    ['a query', 'a?b'],
    ['a backslash', 'a\\b'],
    ['a blank', 'a b'],
    ['a port of six digits', 'a:123456'],
    ['a port that is no number', 'a:https'],
    ['no name', ':443'],
    ['two ports', 'a:1:2'],
    ['letters beyond ASCII', 'r\u00e9gistry'],
    ['nothing', ''],
    ['no header', undefined],
  ])('is never made of a Host with %s', (_what, host) => {
    expect(challengeFor({ isPing: true, host })).toBe(BASIC)
  })
})

it.each<[what: string, headers: Record<string, string>, expected: boolean]>([
  ['accepts HTML', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }, true],
  ['runs a script of a page', { accept: '*/*', 'sec-fetch-mode': 'cors' }, true],
  ['accepts manifests', { accept: 'application/vnd.oci.image.manifest.v1+json, */*' }, false],
  ['accepts anything', { accept: '*/*' }, false],
  ['says nothing', {}, false],
])('isBrowser: a client that %s', (_what, headers, expected) => {
  expect(isBrowser(headers)).toBe(expected)
})
