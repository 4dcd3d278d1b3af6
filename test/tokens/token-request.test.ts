// Tests how requests for a token are read.

import { describe, expect, it } from 'vitest'
import { formatTokenAnswer } from '../../src/tokens/token-answer.ts'
import { readTokenRequest, type TokenRequest } from '../../src/tokens/token-request.ts'

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`
const ALICE = { username: 'alice', password: 'correct horse' }
const ALICE_HEADER = basic('alice:correct horse')
const ALICE_FORM = 'grant_type=password&username=alice&password=correct+horse'

interface Sent {
  readonly authorization?: string
  readonly query?: string
  readonly form?: string
}

function read({ authorization, query = '', form }: Sent): TokenRequest {
  return readTokenRequest({ authorization, query, form })
}

describe('credentials', () => {
  it.each<[what: string, sent: Sent]>([
    ['in the header of a GET', { authorization: ALICE_HEADER, query: 'service=registry-sidecar' }],
    ['in the form of a POST', { form: ALICE_FORM }],
    ['in a form without a grant_type', { form: 'username=alice&password=correct%20horse' }],
    ['in the header of a POST', { authorization: ALICE_HEADER, form: 'grant_type=password&service=s' }],
    [
      'beside an account of another name, which says nothing',
      { authorization: ALICE_HEADER, query: 'account=bob&client_id=docker&offline_token=true&service=s' },
    ],
    ['beside empty ones in the form', { authorization: ALICE_HEADER, form: 'username=&password=' }],
  ])('are read %s', (_what, sent) => {
    expect(read(sent)).toEqual({ kind: 'credentials', credentials: ALICE, scopes: [] })
  })
})

describe('no credentials', () => {
  it.each<[what: string, sent: Sent]>([
    ['are a GET without anything', {}],
    ['are a POST without a grant, as regclient sends it', { form: 'service=s&client_id=regclient' }],
    ['are an empty POST', { form: '' }],
    ['are an empty name with an empty password, as podman sends them', { authorization: 'Basic Og==' }],
    ['are the same in a form', { form: 'grant_type=password&username=&password=' }],
    ['are an account alone', { query: 'account=alice&service=s' }],
  ])('%s', (_what, sent) => {
    expect(read(sent)).toEqual({ kind: 'no credentials', scopes: [] })
  })
})

describe('a request is never taken for one without credentials', () => {
  it.each<[what: string, sent: Sent, kind: TokenRequest['kind'], reason: string]>([
    [
      'with a token',
      { authorization: 'Bearer a.b.c' },
      'malformed credentials',
      'a token instead of a password',
    ],
    [
      'with another scheme',
      { authorization: 'Digest x' },
      'malformed credentials',
      'the scheme is Digest, not Basic',
    ],
    [
      'with a name alone',
      { authorization: basic('alice:') },
      'malformed credentials',
      'the password is empty',
    ],
    [
      'with a name alone in a form',
      { form: 'username=alice' },
      'malformed credentials',
      'the password is empty',
    ],
    [
      'with a password alone in a form',
      { form: 'password=x' },
      'malformed credentials',
      'the username is empty',
    ],
    [
      'with a NUL in the form',
      { form: 'username=alice&password=a%00b' },
      'malformed credentials',
      'the credentials contain a control character',
    ],
    [
      'with a refresh token',
      { form: 'grant_type=refresh_token&refresh_token=x' },
      'malformed credentials',
      'a refresh token',
    ],
    ['with a refresh token alone', { form: 'refresh_token=x' }, 'malformed credentials', 'a refresh token'],
    [
      'with an unknown grant',
      { form: 'grant_type=client_credentials' },
      'unsupported',
      'a form with an unknown grant_type',
    ],
    [
      'with a password in the URL',
      { query: 'username=alice&password=x' },
      'unsupported',
      'credentials in the URL',
    ],
    [
      'with a refresh token in the URL',
      { query: 'refresh_token=x' },
      'unsupported',
      'credentials in the URL',
    ],
    [
      'with two names',
      { form: `${ALICE_FORM}&username=bob` },
      'unsupported',
      'a form with two values of one field',
    ],
    [
      'with two passwords, the second encoded',
      { form: `${ALICE_FORM}&pass%77ord=x` },
      'unsupported',
      'a form with two values of one field',
    ],
    [
      'with both a header and a form',
      { authorization: ALICE_HEADER, form: ALICE_FORM },
      'unsupported',
      'credentials in the form and in a header',
    ],
    [
      'with a token and a form',
      { authorization: 'Bearer a.b.c', form: ALICE_FORM },
      'unsupported',
      'credentials in the form and in a header',
    ],
  ])('%s', (_what, sent, kind, reason) => {
    expect(read(sent)).toEqual({ kind, reason })
  })
})

it('scopes are read from the query and the form', () => {
  const sent = {
    query: 'scope=repository:a:pull&scope=repository:b:pull',
    form: 'scope=repository%3Ac%3Apull+x',
  }
  expect(read(sent)).toMatchObject({
    scopes: ['a', 'b', 'c'].map((repository) => ({ repository, actions: ['pull'] })),
  })
})

describe('the answer', () => {
  const answer = JSON.parse(
    formatTokenAnswer({ token: 't', granted: [{ repository: 'app', actions: ['pull'] }] }),
  ) as object

  it('has the token under both names, lives an hour and names what was granted', () => {
    expect(answer).toEqual({ token: 't', access_token: 't', expires_in: 3600, scope: 'repository:app:pull' })
  })

  it('has no issued_at, which clients would compare with their own clock, and no refresh token', () => {
    expect(Object.keys(answer)).not.toEqual(expect.arrayContaining(['issued_at']))
    expect(Object.keys(answer)).not.toEqual(expect.arrayContaining(['refresh_token']))
  })
})
