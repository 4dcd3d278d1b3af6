import { expect, it } from 'vitest'
import type { MachineFacts } from '../../src/certificates/machine-names.ts'
import { lookAtMachine } from '../../src/certificates/machine.ts'

it('Docker is asked at first and when the addresses are others, the rest is read at every question', async () => {
  let facts: MachineFacts = {
    hostname: 'box',
    addresses: ['172.20.0.2'],
    hostsFile: '',
    resolvConf: '',
    namespace: '',
  }
  let asked = 0
  const machine = await lookAtMachine({
    facts: () => facts,
    inDocker: ({ addresses }) => {
      asked += 1
      return Promise.resolve([{ type: 'dns', value: `on-${addresses.length}` }])
    },
  })
  const names = () => machine.names([]).map(({ value }) => value)
  expect(names()).toEqual(['localhost', '127.0.0.1', '::1', 'box', '172.20.0.2', 'on-1'])

  await machine.refresh()
  expect(asked).toBe(1)
  facts = { ...facts, addresses: ['172.20.0.2', '172.21.0.2'], hostsFile: '172.21.0.2 alias\n' }
  expect(names()).toEqual([
    'localhost',
    '127.0.0.1',
    '::1',
    'box',
    '172.20.0.2',
    '172.21.0.2',
    'alias',
    'on-1',
  ])
  await machine.refresh()
  expect([asked, names().at(-1)]).toEqual([2, 'on-2'])
})
