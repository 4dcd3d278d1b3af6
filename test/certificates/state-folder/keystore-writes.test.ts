import { once } from 'node:events'
import { chmodSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, it, onTestFinished } from 'vitest'

import { openKeystore } from '../../../src/certificates/state-folder/keystore.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const LATER = new Date('2030-03-15T00:00:00Z')
const NAMES: readonly SubjectAltName[] = [{ type: 'dns', value: 'proxy' }]
const ROUNDS = 5

// Looks at the folder without a pause, in a separate thread, and records forbidden states. It looks for the later of
// two files first. Otherwise both could appear between the two looks.
const OBSERVER = `
  const { existsSync, readFileSync, readdirSync, statSync } = require('node:fs')
  const { parentPort, workerData: { folder, stop } } = require('node:worker_threads')
  const ORDER = ['root.key', 'root.crt', 'root.sha256', 'leaf.key', 'leaf.crt']
  const isKey = (name) => name.includes('.key')
  const seen = new Set()
  let looks = 0

  function attempt(action) {
    try { return action() } catch (error) { if (error.code !== 'ENOENT') throw error }
  }
  function look(name) {
    const mode = attempt(() => statSync(folder + '/' + name).mode & 0o777)
    if (mode !== undefined && isKey(name) && (mode & 0o077) !== 0) seen.add(name + ' has mode ' + mode.toString(8))
    const text = ORDER.includes(name) ? attempt(() => readFileSync(folder + '/' + name, 'utf8')) : undefined
    if (text !== undefined && !text.endsWith('\\n')) seen.add(name + ' is half-written')
    if (text !== undefined && isKey(name) && !text.includes('-----END PRIVATE KEY-----')) seen.add(name + ' holds no key')
  }
  function lookAtOrder(index) {
    if (existsSync(folder + '/' + ORDER[index]) && !existsSync(folder + '/' + ORDER[index - 1])) {
      seen.add(ORDER[index] + ' is there before ' + ORDER[index - 1])
    }
  }

  parentPort.postMessage('looking')
  do {
    for (const name of readdirSync(folder)) look(name)
    for (let index = ORDER.length - 1; index > 0; index--) lookAtOrder(index)
    looks++
  } while (Atomics.load(stop, 0) === 0)
  parentPort.postMessage({ looks, seen: [...seen] })
`

it('a key is never readable for others, no file is ever half-written, and files appear in order', async () => {
  // The worst umask: new files are open to every user.
  const umask = process.umask(0)
  onTestFinished(() => void process.umask(umask))
  for (let round = 0; round < ROUNDS; round++) {
    const folder = path.join(tempFolder(), 'state')
    mkdirSync(folder)
    const observer = await observe(folder)
    await openKeystore({ folder, names: NAMES, now: NOW })
    await openKeystore({ folder, names: NAMES, now: LATER })
    const { looks, seen } = await observer.end()
    expect(looks).toBeGreaterThan(0)
    expect(seen).toEqual([])
  }
})

it('the observer of that test records forbidden states', async () => {
  const folder = path.join(tempFolder(), 'state')
  await openKeystore({ folder, names: NAMES, now: NOW })
  chmodSync(path.join(folder, 'leaf.key'), 0o640)
  const observer = await observe(folder)
  const { seen } = await observer.end()
  expect(seen).toEqual(['leaf.key has mode 640'])
})

interface Observation {
  readonly looks: number
  readonly seen: readonly string[]
}

async function observe(folder: string): Promise<{ end(): Promise<Observation> }> {
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(OBSERVER, { eval: true, workerData: { folder, stop }, execArgv: [] })
  await once(worker, 'message')
  return {
    async end() {
      const report = once(worker, 'message')
      const exit = once(worker, 'exit')
      Atomics.store(stop, 0, 1)
      const [observation] = (await report) as [Observation]
      await exit
      return observation
    },
  }
}
