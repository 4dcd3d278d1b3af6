// Tests a root renewal that stops after any of its steps: the next start opens the folder as it is then.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'

import { openKeystore, renewLeaf, renewRoot } from '../../../src/certificates/state-folder/keystore.ts'
import { readAuthority, readRoot } from '../../../src/certificates/state-folder/stored-state.ts'
import type { SubjectAltName } from '../../../src/pki/names.ts'
import { accepts } from '../../fixtures/tls-accepts.ts'
import { makeTempFolder, removeFolder } from '../../fixtures/temp-folder.ts'
import { isStress } from '../../fixtures/repetitions.ts'

// Every change of a file in the folder ends with one of these two calls.
vi.mock(import('node:fs/promises'), async (importOriginal) => {
  const real = await importOriginal()
  return {
    ...real,
    rename: async (from, to) => {
      await real.rename(from, to)
      afterStep(String(to))
    },
    rm: async (file, options) => {
      await real.rm(file, options)
      afterStep(String(file))
    },
  }
})

/** The files of a folder, by name. */
type Files = ReadonlyMap<string, string>

interface Step {
  readonly file: string
  /** The files that a crash after this step leaves. */
  readonly files: Files
}

const NOW = new Date()
const NAMES: readonly SubjectAltName[] = [{ type: 'dns', value: 'localhost' }]
const FILES_WHEN_DONE = ['cross.crt', 'leaf.crt', 'leaf.key', 'root.crt', 'root.key', 'root.sha256']

const listeners = new Map<string, (file: string) => void>()

function afterStep(file: string): void {
  listeners.get(path.dirname(file))?.(path.basename(file))
}

/** Runs `action`, and returns the files in the folder after each step. */
async function stepsOf(folder: string, action: () => Promise<unknown>): Promise<readonly Step[]> {
  const steps: Step[] = []
  listeners.set(folder, (file) => steps.push({ file, files: filesIn(folder) }))
  await action()
  listeners.delete(folder)
  return steps
}

function filesIn(folder: string): Files {
  const names = readdirSync(folder).filter((name) => !name.startsWith('.') && !name.includes('.lock'))
  return new Map(names.map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]))
}

let folders = 0

function folderWith(files: Files): string {
  const folder = path.join(base, String(folders++))
  mkdirSync(folder)
  for (const [name, text] of files) writeFileSync(path.join(folder, name), text, { mode: 0o600 })
  return folder
}

function open(folder: string) {
  return openKeystore({ folder, names: NAMES, now: NOW })
}

function renew(folder: string) {
  return renewRoot({ folder, names: () => NAMES, now: NOW })
}

interface Roots {
  readonly before: string
  readonly after: string
}

const base = makeTempFolder()
let roots: Roots
let filesBefore: Files
let steps: readonly Step[]

beforeAll(async () => {
  const folder = path.join(base, 'state')
  const before = (await open(folder)).root.pem
  filesBefore = filesIn(folder)
  steps = await stepsOf(folder, () => renew(folder))
  roots = { before, after: (await readRoot({ folder })).pem }
})

afterAll(() => {
  removeFolder(base)
})

it('the steps are those that root-renewal.ts lists', () => {
  expect(steps.map(({ file }) => file)).toEqual([
    'next-root.key',
    'next-root.crt',
    'cross.crt',
    'leaf.key',
    'leaf.crt',
    'root.key',
    'root.crt',
    'root.sha256',
    'next-root.crt',
    'next-root.key',
  ])
})

// The renewal is not decided after the first step.
const STEPS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((step) => [step, step === 1 ? 'before' : 'after'] as const)

describe('a crash after step', () => {
  it.each(STEPS)('%i leaves a root, and clients that trust it accept the present leaf', async (step) => {
    const files = filesAfter(step)
    const root = await readRoot({ folder: folderWith(files) })
    expect(Object.values(roots)).toContain(root.pem)
    const [certPem = '', keyPem = ''] = ['leaf.crt', 'leaf.key'].map((name) => files.get(name))
    // After step 4 key and certificate of the leaf differ. A running sidecar still serves the previous pair.
    if (step !== 4) expect(await accepts(root.pem, { certPem, keyPem })).toBe(true)
  })

  it.concurrent.each(STEPS)(
    '%i is repaired by the next start, with the root %s the renewal',
    async (step, which) => {
      await expectWhole(folderWith(filesAfter(step)), which)
    },
  )

  it.concurrent.each(isStress ? STEPS : STEPS.filter(([step]) => step === 4 || step === 6))(
    '%i is repaired even if that start crashes after any step',
    async (step, which) => {
      const folder = folderWith(filesAfter(step))
      const further = await stepsOf(folder, () => open(folder))
      await Promise.all(further.map(({ files }) => expectWhole(folderWith(files), which)))
    },
  )
})

describe('an interrupted renewal', () => {
  it('is finished by a sidecar that runs on the folder', async () => {
    const folder = folderWith(filesAfter(0))
    const keystore = await open(folder)
    for (const [name, text] of filesAfter(2)) writeFileSync(path.join(folder, name), text)
    const bundle = await keystore.renewIfDue(NAMES, NOW)
    expect(keystore.root.pem).toBe(roots.after)
    expect(await accepts(roots.before, bundle ?? keystore.bundle)).toBe(true)
  })

  it.each([
    ['cert renew', (folder: string) => renewLeaf({ folder, names: () => NAMES, now: NOW }), 1],
    ['cert renew --root', renew, 2],
  ])('is finished by `%s`', async (_, action, renewals) => {
    const folder = folderWith(filesAfter(2))
    await action(folder)
    const { root, earlier } = await readAuthority({ folder }, NOW)
    expect([root, ...earlier].map(({ pem }) => pem).slice(-2)).toEqual([roots.after, roots.before])
    expect(earlier).toHaveLength(renewals)
  })

  it('restores the root when the root was lost in the meantime', async () => {
    const files = [...filesAfter(2)].filter(([name]) => !name.startsWith('root.'))
    await expectWhole(folderWith(new Map(files)), 'after')
  })

  it('is finished even without its key, when the new key is in place', async () => {
    const files = [...filesAfter(6)].filter(([name]) => name !== 'next-root.key')
    await expectWhole(folderWith(new Map(files)), 'after')
  })
})

function filesAfter(step: number): Files {
  return step === 0 ? filesBefore : (steps[step - 1]?.files ?? new Map<string, string>())
}

async function expectWhole(folder: string, which: keyof Roots): Promise<void> {
  const { root, bundle } = await open(folder)
  expect(root.pem).toBe(roots[which])
  expect(await accepts(roots.before, bundle)).toBe(true)
  expect(await accepts(root.pem, bundle)).toBe(true)
  const expected =
    which === 'after' ? FILES_WHEN_DONE : FILES_WHEN_DONE.filter((name) => name !== 'cross.crt')
  expect([...filesIn(folder).keys()].toSorted()).toEqual(expected)
  // The only key is that of the present root.
  const files = filesIn(folder)
  expect(new X509Certificate(root.pem).checkPrivateKey(createPrivateKey(files.get('root.key') ?? ''))).toBe(
    true,
  )
  expect(files.get('root.sha256')).toBe(`${root.fingerprint}\n`)
  expect((await open(folder)).issued).toEqual({ root: false, leaf: false })
}
