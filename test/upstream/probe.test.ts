import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { createProbe } from '../../src/upstream/probe.ts'
import { OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { until } from '../fixtures/until.ts'

it('asks the registry once for all who ask together, and again for whoever comes after', async () => {
  const waiting: Socket[] = []
  const upstream = await upstreamForTest((soFar, socket) => {
    if (soFar.endsWith('\r\n\r\n')) waiting.push(socket)
  })
  const answer = () => waiting.shift()?.write(OK)
  const probe = createProbe({ hostname: '127.0.0.1', port: upstream.port })
  const together = [probe(), probe(), probe()]
  await until(() => waiting.length === 1, { deadlineMs: 5_000, what: 'the probe' })
  together.push(probe())
  answer()
  expect(await Promise.all(together)).toEqual(Array(4).fill({ kind: 'answers' }))
  expect(upstream.received).toHaveLength(1)
  const after = probe()
  await until(() => waiting.length === 1, { deadlineMs: 5_000, what: 'another probe' })
  answer()
  await after
  expect(upstream.received).toHaveLength(2)
})
