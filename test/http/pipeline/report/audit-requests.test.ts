import { describe, expect, it } from 'vitest'
import { auditRequest } from '../../../../src/http/pipeline/report/audit-requests.ts'
import type { RequestFacts } from '../../../../src/http/request-facts.ts'
import type { AuditLine } from '../../../../src/observability/audit-stream.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const ALICE = { kind: 'user', username: 'alice' } as const

/** Returns the line of an authorized request of alice. */
function lineOf(method: string, target: string, status: number, more: Partial<RequestFacts> = {}) {
  const lines: AuditLine[] = []
  const facts: RequestFacts = {
    id: 'x-1',
    address: '192.0.2.1',
    source: '192.0.2.1',
    startedAt: 0,
    subject: ALICE,
    isOldPassword: false,
    hasToken: false,
    tokenValidUntil: undefined,
    machinePassword: undefined,
    clientCertificate: undefined,
    isCertificateLogin: false,
    certificateProblem: undefined,
    target,
    change: undefined,
    hasWaited: false,
    digest: undefined,
    answerLength: undefined,
    missing: undefined,
    reason: undefined,
    ...more,
  }
  const audit = { record: (line: AuditLine) => lines.push(line) }
  auditRequest(audit, { facts, method, target, status, traceparent: undefined })
  return lines[0]
}

describe('the audit line of a request', () => {
  it.each([
    [201, 'done'],
    [404, 'refused'],
    [500, 'failed'],
    [499, 'unanswered'],
    [502, 'unanswered'],
    [504, 'unanswered'],
  ])('with status %i has the outcome %s', (status, outcome) => {
    expect(lineOf('PUT', '/v2/a/manifests/v1', status)).toMatchObject({ event: 'push', outcome, status })
  })

  it.each<[method: string, target: string, line: object | undefined]>([
    ['PUT', '/v2/a/b/manifests/v1', { event: 'push', repository: 'a/b', tag: 'v1' }],
    ['PUT', `/v2/a/manifests/${DIGEST}?tag=x`, { event: 'push', repository: 'a', digest: DIGEST }],
    ['DELETE', '/v2/a/manifests/v1', { event: 'delete', repository: 'a', tag: 'v1' }],
    ['DELETE', `/v2/a/blobs/${DIGEST}`, { event: 'delete', repository: 'a', digest: DIGEST }],
    ['PUT', '/v2/a/unknown/v1?secret', { event: 'push', path: '/v2/a/unknown/v1' }],
    ['DELETE', '/v2/A/manifests/v1', { event: 'delete', path: '/v2/A/manifests/v1' }],
    ['PUT', `/v2/a/blobs/uploads/1?digest=${DIGEST}`, undefined],
    ['DELETE', '/v2/a/blobs/uploads/1', undefined],
    ['POST', '/v2/a/blobs/uploads/', undefined],
    ['GET', '/v2/a/manifests/v1', undefined],
  ])('%s %s', (method, target, line) => {
    if (line === undefined) expect(lineOf(method, target, 200)).toBeUndefined()
    else expect(lineOf(method, target, 200)).toMatchObject(line)
  })

  it.each<[how: string, facts: Partial<RequestFacts>]>([
    ['password', {}],
    ['old-password', { isOldPassword: true }],
    ['token', { hasToken: true, isOldPassword: true }],
    ['certificate', { isCertificateLogin: true }],
    ['anonymous', { subject: { kind: 'anonymous' }, hasToken: true }],
  ])('says how its user logged in: %s', (how, facts) => {
    expect(lineOf('PUT', '/v2/a/manifests/v1', 201, facts)).toMatchObject({ how })
  })

  it('does not exist for a request before its login or authorization', () => {
    const unknown = { subject: undefined, target: undefined }
    expect(lineOf('PUT', '/v2/a/manifests/v1', 401, unknown)).toBeUndefined()
    expect(lineOf('GET', '/v2/', 403, { ...unknown, reason: 'no client certificate' })).toBeUndefined()
  })

  it('calls only the sidecar’s own 403 denied', () => {
    expect(lineOf('PUT', '/v2/a/manifests/v1', 403)).toMatchObject({ event: 'push', outcome: 'refused' })
    expect(lineOf('DELETE', '/v2/a/manifests/v1', 403, { reason: 'tag v1 is immutable' })).toMatchObject({
      event: 'denied',
      outcome: 'denied',
      action: 'delete',
      tag: 'v1',
    })
  })
})
