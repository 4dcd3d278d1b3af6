import { describe, expect, it } from 'vitest'
import { bytesText, durationText, renderTime } from '../../src/http/pages/quantities.ts'
import { pointsOf } from '../../src/http/pages/status/chart.ts'

describe('a quantity on a page', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1024 * 1024 - 1, '1.0 MiB'],
    [99.9 * 1024 * 1024, '99.9 MiB'],
    [100 * 1024 ** 2, '100 MiB'],
    [5 * 1024 ** 5, '5120 TiB'],
  ])('writes %s bytes as %s', (bytes, text) => {
    expect(bytesText(bytes)).toBe(text)
  })

  it.each([
    [0.04, '0.0 s'],
    [9.94, '9.9 s'],
    [9.96, '10 s'],
    [59.4, '59 s'],
    [59.6, '1 min'],
    [3599, '1 h 0 min'],
    [3 * 3600 + 125, '3 h 2 min'],
    [72 * 3600, '3 days'],
  ])('writes %s seconds as %s', (seconds, text) => {
    expect(durationText(seconds)).toBe(text)
  })

  it('writes a time with its date only on another day', async () => {
    const at = '2027-03-01T08:09:10.123Z'
    const text = async (now: string): Promise<string> => (await renderTime(at, now)).toString()
    expect(await text('2027-03-01T23:00:00.000Z')).toBe(
      `<time class="number" datetime="${at}">08:09:10</time>`,
    )
    expect(await text('2027-03-02T00:00:00.000Z')).toContain('>2027-03-01 08:09:10<')
  })
})

describe('the points of a chart', () => {
  const until = '2027-03-01T12:00:00.000Z'

  it('are the last minutes of a long series', () => {
    const series = Array.from({ length: 100 }, (_, minute) => minute)
    const period = { name: '15 minutes', minutes: 15, minutesPerPoint: 1, until }
    expect(pointsOf(series, period)).toEqual(series.slice(-15))
  })

  it('are sums that end with the last minute', () => {
    const period = { name: '1 hour', minutes: 60, minutesPerPoint: 10, until }
    const series = [1000, 1000, ...Array.from({ length: 20 }, () => 1)]
    expect(pointsOf(series, period)).toEqual([10, 10])
    expect(pointsOf([], period)).toEqual([])
  })
})
