import { rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { loadRules, type RulesInForce } from '../../src/access/rules-in-force.ts'
import { createRulesReader } from '../../src/access/rules-file/read-rules.ts'
import { recordedLog } from '../fixtures/recorded-log.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const TWO_RULES =
  'rules: [{who: a, repositories: [a], allow: [pull]}, {who: b, repositories: [b], allow: [pull]}]'

// Threat: a revoked user would keep access until somebody edits the file again.
it('a change that no thread could read is in force after the next reload', async () => {
  const folder = tempFolder()
  const workerFile = path.join(folder, 'worker.mjs')
  await writeFile(workerFile, WORKER)
  const rules = await rulesIn(folder, { workerFile, idleTimeoutMs: 0 })
  expect(rules.current.file.rules).toHaveLength(2)

  await rename(workerFile, `${workerFile}.old`)
  await writeFile(path.join(folder, 'access.yaml'), 'rules: []')
  await expect(rules.reload()).rejects.toThrow('worker.mjs')
  expect(rules.state).toMatchObject({ kind: 'stale', isTransient: true })
  await rename(`${workerFile}.old`, workerFile)

  // The pause after a failed attempt is five times as long as the attempt.
  await vi.waitFor(() => rules.reload(), { timeout: 10_000, interval: 100 })
  expect(rules.current.file.rules).toEqual([])
})

it('a change that takes too long is not remembered as invalid', async () => {
  const folder = tempFolder()
  const rules = await rulesIn(folder, { timeoutMs: 300 })

  await writeFile(path.join(folder, 'access.yaml'), `"${'\\q'.repeat(100_000)}"`)
  await expect(rules.reload()).rejects.toThrow('takes over 0.3 s')

  expect(rules.state).toMatchObject({ kind: 'stale', isTransient: true })
})

it('an invalid change stays refused until the file changes', async () => {
  const folder = tempFolder()
  const rules = await rulesIn(folder)

  await writeFile(path.join(folder, 'access.yaml'), 'rules: [1]')
  await expect(rules.reload()).rejects.toThrow('expected a mapping')

  expect(rules.state).toEqual({ kind: 'stale', reason: 'problems at line 1, column 9' })
})

// Each reading starts a new thread, which loads this file.
const WORKER = `export default (text) => JSON.stringify({
  kind: 'rules',
  file: { groups: [], immutable: [], rules: text.includes('rules: []') ? [] : [{ who: [] }, { who: [] }].map((rule) => ({ ...rule, repositories: [], allow: [], line: 1, column: 1 })) },
})`

async function rulesIn(
  folder: string,
  options: Parameters<typeof createRulesReader>[0] = {},
): Promise<RulesInForce> {
  const file = path.join(folder, 'access.yaml')
  await writeFile(file, TWO_RULES)
  const reader = createRulesReader(options)
  const rules = await loadRules({
    file,
    pollMs: 'off',
    log: recordedLog().log,
    usernames: () => undefined,
    reader,
  })
  onTestFinished(() => rules.close().catch(() => undefined))
  return rules
}
