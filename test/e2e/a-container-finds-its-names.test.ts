// Asks Docker's embedded resolver for the names of a container.

import path from 'node:path'
import { buildSync } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker, hasEngine } from '../fixtures/engine.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const ROOT = path.join(import.meta.dirname, '..', '..')
// Named as compose names its containers and networks.
const PROJECT = `names-e2e-${process.pid}`
const NETWORK = `${PROJECT}_default`
const IMAGE = 'node:24-slim'
const ASK = `
  import { lookAtMachine } from '/app/machine-facts.mjs'
  const machine = await lookAtMachine()
  console.log(JSON.stringify(machine.names([]).map(({ value }) => value)))
`

describe.skipIf(!hasEngine())('a container', { timeout: 60_000 }, () => {
  const folder = makeTempFolder()
  const program = path.join(folder, 'machine-facts.mjs')

  beforeAll(async () => {
    // A pull may take longer than a test timeout.
    await docker(['image', 'inspect', IMAGE]).catch(() => docker(['pull', '-q', IMAGE]))
    await docker(['network', 'create', NETWORK])
    const source = path.join(ROOT, 'src/certificates/names/machine-facts.ts')
    buildSync({ entryPoints: [source], outfile: program, bundle: true, platform: 'node', format: 'esm' })
  }, 300_000)
  afterAll(async () => {
    removeFolder(folder)
    await docker(['network', 'rm', NETWORK])
  })

  const namesIn = async (...args: string[]): Promise<readonly string[]> => {
    const mount = ['-v', `${program}:/app/machine-facts.mjs:ro`]
    const run = ['run', '--rm', ...args, ...mount, IMAGE, 'node', '--input-type=module', '-e', ASK]
    return JSON.parse((await docker(run)).stdout) as readonly string[]
  }

  it('finds its host name, its container name and its compose service, but not its aliases', async () => {
    const container = `${PROJECT}-my-proxy-1`
    const aliases = ['--network-alias', 'my-proxy', '--network-alias', 'secret-alias']
    const names = await namesIn('--name', container, '--network', NETWORK, '--hostname', 'box', ...aliases)
    expect(names).toEqual(expect.arrayContaining(['localhost', 'box', container, 'my-proxy']))
    expect(names).not.toContain('secret-alias')
  })

  it('does not use the name of another service, also if its own name resembles it', async () => {
    // Its name looks like the service `other`, which does not exist.
    const names = await namesIn('--name', `${PROJECT}-other-1`, '--network', NETWORK)
    expect(names).toContain(`${PROJECT}-other-1`)
    expect(names).not.toContain('other')
  })

  it('finds the names of its own address in the hosts file', async () => {
    const names = await namesIn('--add-host', 'elsewhere:192.0.2.1', '--hostname', 'box.lab.example')
    expect(names).toContain('box.lab.example')
    expect(names).not.toContain('elsewhere')
  })
})
