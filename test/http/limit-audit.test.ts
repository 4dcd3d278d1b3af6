import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLimitAudit, LIMITS } from '../../src/http/limit-audit.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'

function scene() {
  const { log, lines } = recordedLog()
  const counts = new Map<string, number>()
  const audit = createLimitAudit(log, {
    limitReached: (limit, times = 1) => counts.set(limit, (counts.get(limit) ?? 0) + times),
  })
  return { audit, counts, lines }
}

describe('the audit of limits', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  it('logs the first case at once, and names the setting', () => {
    const { audit, lines } = scene()
    audit.reached('connections-per-source', '192.0.2.1')
    expect(lines).toMatchObject([
      {
        limit: 'connections-per-source',
        setting: 'SIDECAR_MAX_CONNECTIONS_PER_SOURCE',
        who: '192.0.2.1',
        count: 1,
        msg: LIMITS['connections-per-source'].sentence,
      },
    ])
    audit.close()
  })

  it('logs a flood in one line per window, with its top source', () => {
    const { audit, lines } = scene()
    for (let window = 0; window < 3; window++) {
      for (let i = 0; i < 5_000; i++)
        audit.reached('connections', i % 3 === 0 ? `192.0.2.${i % 250}` : 'flood')
      vi.advanceTimersByTime(10_000)
    }
    expect(lines).toMatchObject([
      { who: '192.0.2.0', count: 1 },
      { who: 'flood', count: 4_999 },
      { who: 'flood', count: 5_000 },
      { who: 'flood', count: 5_000 },
    ])
    audit.close()
    expect(lines).toHaveLength(4)
  })

  it('is silent after a flood, and logs the next one at once', () => {
    const { audit, lines } = scene()
    audit.reached('header-time', 'a')
    vi.advanceTimersByTime(20_000)
    expect(vi.getTimerCount()).toBe(0)
    audit.reached('header-time', 'a')
    expect(lines).toHaveLength(2)
    audit.close()
  })

  it('remembers a bounded number of sources', () => {
    const { audit, lines } = scene()
    for (let i = 0; i < 50_000; i++) audit.reached('connections', `source ${i}`)
    audit.reached('connections', 'source 1')
    audit.close()
    expect(lines).toMatchObject([{ who: 'source 0' }, { who: 'source 1', count: 50_000 }])
  })

  it('logs its counts when it is closed, and leaves no timer', () => {
    const { audit, lines } = scene()
    audit.reached('transfers-per-user', 'alice')
    audit.reached('transfers-per-user', 'alice')
    audit.close()
    expect(lines.map(({ count }) => count)).toEqual([1, 1])
    audit.reached('transfers-per-user', 'alice')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('starts the count of each limit at zero', () => {
    const { audit, counts } = scene()
    expect([...counts.keys()]).toEqual(Object.keys(LIMITS))
    expect([...counts.values()].every((count) => count === 0)).toBe(true)
    audit.reached('handshake-time', 'a')
    expect(counts.get('handshake-time')).toBe(1)
    audit.close()
  })
})
