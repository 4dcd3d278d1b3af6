import { expect, it } from 'vitest'
import { parseConfig } from '../../src/settings/config.ts'
import { objectionToReusePort } from '../../src/settings/reuse-port.ts'
import { canReusePort } from '../fixtures/reuse-port.ts'

it.each<[system: string, node: string, objection: RegExp | undefined]>([
  ['linux', 'v22.12.0', undefined],
  ['linux', 'v23.1.0', undefined],
  ['linux', 'v24.0.0', undefined],
  ['linux', 'v20.20.2', /^Node v20\.20\.2 cannot share a port; use Node 22\.12 or later$/],
  ['linux', 'v22.11.0', /use Node 22\.12/],
  ['linux', 'v23.0.0', /use Node 22\.12/],
  ['darwin', 'v24.0.0', /only Linux/],
  ['win32', 'v24.0.0', /only Linux/],
])('on %s with Node %s a port can be shared, or the reason is given', (system, node, objection) => {
  const found = objectionToReusePort(system, node)
  if (objection === undefined) expect(found).toBeUndefined()
  else expect(found).toMatch(objection)
})

// One of the two runs, by the Node that runs the tests.
if (canReusePort) {
  it('SIDECAR_REUSE_PORT is accepted by this Node', () => {
    expect(parseConfig({ env: { SIDECAR_REUSE_PORT: 'true' } }).reusePort).toBe(true)
  })
} else {
  it('SIDECAR_REUSE_PORT is refused by this Node, with the reason', () => {
    expect(() => parseConfig({ env: { SIDECAR_REUSE_PORT: 'true' } })).toThrow(
      /cannot share a port|only Linux/,
    )
    expect(parseConfig({ env: { SIDECAR_REUSE_PORT: 'false' } }).reusePort).toBe(false)
  })
}
