import { describe, expect, it } from 'vitest'
import { ANONYMOUS, type Subject } from '../../src/access/access-rules.ts'
import { authorize, rightsOf, type Authorization } from '../../src/access/authorization.ts'
import { rulesOf, user } from './rules-of.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`

const RULES = rulesOf(`rules:
  - {who: puller, repositories: ["app", "lib"], allow: [pull]}
  - {who: pusher, repositories: ["app"], allow: [push]}
  - {who: builder, repositories: ["app", "lib"], allow: [pull, push]}
  - {who: cleaner, repositories: ["app"], allow: [delete]}
  - {who: lister, allow: [catalog]}
  - {who: anonymous, repositories: ["public/*"], allow: [pull]}
`)

function ask(subject: Subject, method: string, target: string): Authorization {
  return authorize(rightsOf(RULES, subject), { subject, method, target })
}

const BLOB = `/v2/app/blobs/${DIGEST}`
const UPLOAD = '/v2/app/blobs/uploads/0d6a6d5a'
const PULLING = [
  ['GET', '/v2/app/manifests/latest'],
  ['GET', `/v2/app/manifests/${DIGEST}`],
  ['GET', BLOB],
  ['GET', '/v2/app/tags/list'],
  ['GET', `/v2/app/referrers/${DIGEST}`],
] as const
const PUSHING = [
  ['POST', '/v2/app/blobs/uploads/'],
  ['PATCH', UPLOAD],
  ['PUT', `${UPLOAD}?digest=${DIGEST}`],
  ['GET', UPLOAD],
  ['DELETE', UPLOAD],
  ['PUT', '/v2/app/manifests/latest'],
  ['PUT', `/v2/app/manifests/${DIGEST}`],
] as const
const LOOKING = [
  ['HEAD', '/v2/app/manifests/latest'],
  ['HEAD', BLOB],
] as const
const DELETING = [
  ['DELETE', '/v2/app/manifests/latest'],
  ['DELETE', `/v2/app/manifests/${DIGEST}`],
  ['DELETE', BLOB],
] as const

describe('without a rules file', () => {
  it('users who logged in may do everything, and anonymous nothing', () => {
    const verdictFor = (subject: Subject) =>
      authorize(rightsOf(undefined, subject), { subject, method: 'GET', target: '/v2/public/app/tags/list' })
    expect(verdictFor(user('alice')).kind).toBe('allowed')
    expect(verdictFor(ANONYMOUS).kind).toBe('denied')
  })
})

describe('authorizing', () => {
  it.each<readonly [string, readonly (readonly (readonly [string, string])[])[]]>([
    ['puller', [PULLING, LOOKING]],
    ['pusher', [PUSHING, LOOKING]],
    ['builder', [PULLING, PUSHING, LOOKING]],
    ['cleaner', [DELETING]],
    ['lister', []],
    ['zoe', []],
  ])('lets %s do what its right covers and nothing else', (username, allowed) => {
    for (const requests of [PULLING, PUSHING, LOOKING, DELETING]) {
      for (const [method, target] of requests) {
        const { kind } = ask(user(username), method, target)
        expect(`${method} ${target} ${kind}`).toBe(
          `${method} ${target} ${allowed.includes(requests) ? 'allowed' : 'denied'}`,
        )
      }
    }
  })

  it('forwards the target as it came', () => {
    const target = `${UPLOAD}?_state=a%2Fb&digest=${DIGEST}`
    expect(ask(user('pusher'), 'PUT', target)).toEqual({ kind: 'allowed', target })
  })

  it.each([
    ['zoe', 'GET', '/v2/app/manifests/latest', 'zoe may not pull app'],
    ['puller', 'POST', '/v2/app/blobs/uploads/', 'puller may not push to app'],
    ['pusher', 'DELETE', BLOB, 'pusher may not delete from app'],
    ['zoe', 'HEAD', BLOB, 'zoe may not pull app'],
    ['puller', 'GET', '/v2/_catalog', 'puller may not list the repositories (catalog)'],
    ['builder', 'GET', '/v2/nowhere/at/all/tags/list', 'builder may not pull nowhere/at/all'],
    [
      'builder',
      'POST',
      UPLOAD,
      'no access rule allows this request: the registry does not support POST at this address',
    ],
  ])('says to %s which right is missing for %s %s', (username, method, target, message) => {
    expect(ask(user(username), method, target)).toMatchObject({ kind: 'denied', message })
  })

  it('names the missing right for the audit', () => {
    expect(ask(user('zoe'), 'GET', BLOB)).toMatchObject({ missing: { action: 'pull', repository: 'app' } })
    expect(ask(user('zoe'), 'GET', '/v2/_catalog')).toMatchObject({ missing: { action: 'catalog' } })
    expect(ask(user('zoe'), 'GET', '/v2/x')).toMatchObject({ missing: undefined })
  })

  it('asks for a login at the ping, and for no right there', () => {
    expect(ask(user('zoe'), 'GET', '/v2/').kind).toBe('allowed')
    expect(ask(ANONYMOUS, 'GET', '/v2/').kind).toBe('denied')
    expect(ask(ANONYMOUS, 'GET', '/v2/public/a/tags/list').kind).toBe('allowed')
    expect(ask(ANONYMOUS, 'GET', '/v2/app/tags/list')).toMatchObject({
      message: 'anonymous may not pull app',
    })
  })

  it('shows the list of repositories to those with the right to it', () => {
    expect(ask(user('lister'), 'GET', '/v2/_catalog?n=5')).toEqual({
      kind: 'allowed',
      target: '/v2/_catalog?n=5',
    })
    expect(ask(user('builder'), 'GET', '/v2/_catalog').kind).toBe('denied')
  })

  describe('a mount', () => {
    const mount = (from: string): string => `/v2/app/blobs/uploads/?mount=${DIGEST}&from=${from}`

    it('goes on when the source may be pulled', () => {
      expect(ask(user('builder'), 'POST', mount('lib'))).toEqual({ kind: 'allowed', target: mount('lib') })
    })

    it('becomes an upload when it may not, whether it exists or not', () => {
      const upload = { kind: 'allowed', target: '/v2/app/blobs/uploads/' }
      expect(ask(user('pusher'), 'POST', mount('lib'))).toEqual(upload)
      expect(ask(user('pusher'), 'POST', mount('app'))).toEqual(upload)
      expect(ask(user('builder'), 'POST', mount('secret'))).toEqual(upload)
      expect(ask(user('builder'), 'POST', `/v2/app/blobs/uploads/?mount=${DIGEST}`)).toEqual(upload)
    })

    it('is refused when the target may not be pushed to', () => {
      expect(ask(user('puller'), 'POST', mount('lib'))).toMatchObject({
        message: 'puller may not push to app',
      })
    })
  })
})
