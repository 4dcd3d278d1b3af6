// Holds the rules of fast tests: they start no process and replace no module.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'

const ROOT = path.join(import.meta.dirname, '..', '..')
// As in vitest.config.ts.
const IS_SLOW = /^test\/(?:behavior|browser|cluster|e2e|fuzz|timing)\/|\.(?:process|slow|stress)\.test\.ts$/
const IMPORT = /^(?:import|export|\}) (?!type ).*'([^']+)'$|\bimport\('([^']+)'\)/gm

const fastTests = readdirSync(path.join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  .map((name) => path.posix.join('test', name.split(path.sep).join('/')))
  .filter((file) => file.endsWith('.test.ts') && !IS_SLOW.test(file))

it('a test that starts processes is named *.process.test.ts, or lies in behavior/, browser/ or e2e/', () => {
  expect(fastTests.length).toBeGreaterThan(50)
  expect(fastTests.flatMap((file) => pathToProcesses(file, new Set()) ?? [])).toEqual([])
})

it('a fast test replaces no module, because the tests of a worker share their modules', () => {
  const replaces = (file: string) => /\bvi\.(?:do)?mock\(/i.test(readFileSync(path.join(ROOT, file), 'utf8'))
  expect(fastTests.filter(replaces)).toEqual([])
  expect(replaces('test/behavior/a-hundred-renewals-cut-no-transfer.test.ts')).toBe(true)
})

it('an import that leads to processes is found', () => {
  const [found] =
    pathToProcesses('test/behavior/a-real-registry-works-behind-the-sidecar.test.ts', new Set()) ?? []
  expect(found).toMatch(
    /a-real-registry-works-behind-the-sidecar\.test\.ts → test\/fixtures\/\w+\.ts → node:child_process$/,
  )
})

/** The imports that lead from a file to `node:child_process`, if any, as one text. */
function pathToProcesses(file: string, seen: Set<string>): readonly [string] | undefined {
  if (seen.has(file)) return undefined
  seen.add(file)
  for (const target of importsOf(file)) {
    if (target === 'node:child_process') return [`${file} → ${target}`]
    const rest = target.endsWith('.ts') ? pathToProcesses(target, seen) : undefined
    if (rest !== undefined) return [`${file} → ${rest[0]}`]
  }
  return undefined
}

function importsOf(file: string): readonly string[] {
  return [...readFileSync(path.join(ROOT, file), 'utf8').matchAll(IMPORT)].map((match) => {
    const target = match.slice(1).join('')
    return target.startsWith('.') ? path.posix.join(path.posix.dirname(file), target) : target
  })
}
