import { describe, expect, it } from 'vitest'
import { operationOf, operationOutcome } from '../../../../src/http/pipeline/report/operation.ts'

describe('an operation', () => {
  it.each([
    ['PUT', 'manifest', 'push'],
    ['GET', 'manifest', 'pull'],
    ['HEAD', 'manifest', undefined],
    ['DELETE', 'manifest', undefined],
    ['GET', 'blob', undefined],
    ['PUT', 'upload', undefined],
  ] as const)('of %s at a %s is %s', (method, route, operation) => {
    expect(operationOf(method, route)).toBe(operation)
  })

  it.each([
    [200, 'ok'],
    [201, 'ok'],
    [304, 'ok'],
    [307, 'refused'],
    [400, 'refused'],
    [401, 'unauthenticated'],
    [403, 'denied'],
    [404, 'not-found'],
    [429, 'refused'],
    [500, 'failed'],
    [503, 'failed'],
    [504, 'failed'],
  ] as const)('with the status %d is %s', (status, outcome) => {
    expect(operationOutcome({ status, isComplete: true })).toBe(outcome)
  })

  it.each([200, 499])('whose answer with the status %d is incomplete is cut', (status) => {
    expect(operationOutcome({ status, isComplete: false })).toBe('cut')
  })
})
