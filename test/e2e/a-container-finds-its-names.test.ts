// What Docker's embedded resolver really tells a container of itself.

import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker, hasEngine } from '../fixtures/engine.ts'

const ROOT = path.join(import.meta.dirname, '..', '..')
// As compose names them: a project, and what belongs to it.
const PROJECT = `names-e2e-${process.pid}`
const NETWORK = `${PROJECT}_default`
const IMAGE = 'node:24-slim'
const ASK = `
  import { lookAtMachine } from '/app/dist/certificates/machine.js'
  const machine = await lookAtMachine()
  console.log(JSON.stringify(machine.names([]).map(({ value }) => value)))
`

describe.skipIf(!hasEngine())('a container', { timeout: 60_000 }, () => {
  beforeAll(async () => {
    // Fetching it takes longer than a test may.
    await docker(['image', 'inspect', IMAGE]).catch(() => docker(['pull', '-q', IMAGE]))
    await docker(['network', 'create', NETWORK])
  }, 300_000)
  afterAll(() => docker(['network', 'rm', NETWORK]))

  const namesIn = async (...args: string[]): Promise<readonly string[]> => {
    const mounts = ['dist', 'package.json'].flatMap((name) => [
      '-v',
      `${path.join(ROOT, name)}:/app/${name}:ro`,
    ])
    const run = ['run', '--rm', ...args, ...mounts, IMAGE, 'node', '--input-type=module', '-e', ASK]
    return JSON.parse((await docker(run)).stdout) as readonly string[]
  }

  it('knows its host name, its own and that of its compose service, and not its aliases', async () => {
    const container = `${PROJECT}-my-proxy-1`
    const aliases = ['--network-alias', 'my-proxy', '--network-alias', 'secret-alias']
    const names = await namesIn('--name', container, '--network', NETWORK, '--hostname', 'box', ...aliases)
    expect(names).toEqual(expect.arrayContaining(['localhost', 'box', container, 'my-proxy']))
    expect(names).not.toContain('secret-alias')
  })

  it('takes the name of no other, also where its own looks like that', async () => {
    // Named as if it were the service `other`, which nothing answers to.
    const names = await namesIn('--name', `${PROJECT}-other-1`, '--network', NETWORK)
    expect(names).toContain(`${PROJECT}-other-1`)
    expect(names).not.toContain('other')
  })

  it('knows the names that were given to its own address', async () => {
    const names = await namesIn('--add-host', 'elsewhere:192.0.2.1', '--hostname', 'box.lab.example')
    expect(names).toContain('box.lab.example')
    expect(names).not.toContain('elsewhere')
  })
})
