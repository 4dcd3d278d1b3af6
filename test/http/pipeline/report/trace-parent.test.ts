import { describe, expect, it } from 'vitest'
import { traceParentOf } from '../../../../src/http/pipeline/report/trace-parent.ts'
import { ALICE, sidecarForTest } from '../../../fixtures/sidecar.ts'
import { until } from '../../../fixtures/until.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'
const GOOD = `00-${TRACE}-${PARENT}-01`

describe('the trace of a request', () => {
  it.each([
    ['a well-formed header', GOOD, GOOD],
    ['no header', undefined, undefined],
    ['a list of headers', [GOOD, GOOD], undefined],
    ['two headers in one', `${GOOD}, ${GOOD}`, undefined],
    ['upper case', GOOD.toUpperCase(), undefined],
    ['a later version', `01-${TRACE}-${PARENT}-01`, undefined],
    ['the invalid version', `ff-${TRACE}-${PARENT}-01`, undefined],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${PARENT}-01`, undefined],
    ['a parent of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`, undefined],
    ['a longer header', `${GOOD}-0`, undefined],
    ['text of the same length', `","msg":"login refused"${'x'.repeat(32)}`, undefined],
    ['a line break at the end', `${GOOD.slice(0, -1)}\n`, undefined],
  ])('is read from %s', (_what, header, traceparent) => {
    expect(traceParentOf(header)).toBe(traceparent)
  })

  it('is in the line of the request, but only if it is well-formed', async () => {
    const sidecar = await sidecarForTest()
    await sidecar.request({ path: '/v2/', as: ALICE, headers: { traceparent: GOOD } })
    await sidecar.request({ path: '/v2/', as: ALICE, headers: { traceparent: 'evil' } })
    const requests = () => sidecar.lines.filter(({ event }) => event === 'request')
    await until(() => requests().length === 2, { deadlineMs: 5_000, what: 'both lines' })
    expect(requests().map(({ traceparent }) => traceparent)).toEqual([GOOD, undefined])
    const forwarded = sidecar.lines.find(({ event }) => event === 'request-forwarded')
    expect(forwarded).toMatchObject({ user: 'alice', method: 'GET', path: '/v2/', traceparent: GOOD })
  })
})
