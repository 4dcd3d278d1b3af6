import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { openFilesLimit } from '../../src/app/file-descriptors.ts'

it.runIf(process.platform === 'linux')('the open-files limit is the one that the shell shows', async () => {
  const text = execFileSync('sh', ['-c', 'ulimit -n']).toString().trim()
  expect(await openFilesLimit()).toBe(text === 'unlimited' ? undefined : Number(text))
})
