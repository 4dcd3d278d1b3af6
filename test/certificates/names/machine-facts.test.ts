import { describe, expect, it } from 'vitest'
import type { MachineFacts } from '../../../src/certificates/names/machine-names.ts'
import { lookAtMachine } from '../../../src/certificates/names/machine-facts.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'

it('Docker is asked at start and after address changes, the other facts are read each time', async () => {
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

describe('a resolver that returns no names', () => {
  it('is asked again until it returns names', async () => {
    const answers = [[], [], [{ type: 'dns', value: 'box-in-docker' } as const]]
    const { machine, count, refreshed } = await machineAt((asked) => answers[asked - 1] ?? [])
    expect(machine.names([]).map(({ value }) => value)).not.toContain('box-in-docker')
    await refreshed(5)
    expect(machine.names([]).at(-1)).toEqual({ type: 'dns', value: 'box-in-docker' })
    expect(count()).toBe(3)
  })

  it('is asked five times for the same addresses, and five times for other addresses', async () => {
    const { count, refreshed, move } = await machineAt(() => [])
    await refreshed(20)
    expect(count()).toBe(5)
    move('172.21.0.2')
    await refreshed(20)
    expect(count()).toBe(10)
  })
})

async function machineAt(inDocker: (asked: number) => readonly SubjectAltName[]) {
  let address = '172.20.0.2'
  let asked = 0
  const machine = await lookAtMachine({
    facts: () => ({ hostname: 'box', addresses: [address], hostsFile: '', resolvConf: '', namespace: '' }),
    inDocker: () => Promise.resolve(inDocker(++asked)),
  })
  return {
    machine,
    count: () => asked,
    refreshed: async (times: number) => {
      for (let i = 0; i < times; i++) await machine.refresh()
    },
    move: (to: string) => {
      address = to
    },
  }
}
