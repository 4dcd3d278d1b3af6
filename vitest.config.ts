import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { defineConfig } from 'vitest/config'
import type { InlineConfig } from 'vitest/node'
import { EndToEndFirst } from './test/fixtures/end-to-end-first.ts'

// Absolute, so that this configuration also works with another `--root`.
const TESTS = path.join(import.meta.dirname, 'test')
const FIXTURES = path.join(TESTS, 'fixtures')

// Tests that start processes, use real parts, or take long on purpose. All others are fast, which
// test/rules/fast-tests.test.ts holds.
const SLOW = ['test/{behavior,e2e,fuzz}/**/*.test.ts', '**/*.{process,slow}.test.ts']
// Compares times by statistics, so it takes over a minute.
const TIMING = ['test/timing/**/*.test.ts']
// Tests that choose a number of repetitions. They run in `fast` or `slow` too, with fewer.
const STRESS = readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => readFileSync(path.join(TESTS, name), 'utf8').includes('/fixtures/repetitions.ts'))
  .map((name) => `test/${name}`)

const BUILD_IF_STALE = `${FIXTURES}/build-if-stale.ts`

const shared = {
  pool: 'forks',
  execArgv: ['--require', `${FIXTURES}/typescript-in-threads.cjs`],
  setupFiles: `${FIXTURES}/record-logs.ts`,
  testTimeout: 60_000,
  hookTimeout: 60_000,
} satisfies InlineConfig

export default defineConfig({
  test: {
    // Most tests wait for timers and other processes most of the time.
    maxWorkers: 2 * availableParallelism(),
    sequence: { sequencer: EndToEndFirst },
    // With the setup file above it fails a run that logged a secret.
    globalSetup: `${FIXTURES}/no-secret-is-logged.ts`,
    coverage: { provider: 'v8', include: ['src/**'] },
    projects: [
      {
        test: {
          ...shared,
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: [...SLOW, ...TIMING],
        },
      },
      { test: { ...shared, name: 'slow', include: SLOW, globalSetup: BUILD_IF_STALE } },
      {
        test: {
          ...shared,
          name: 'stress',
          include: STRESS,
          env: { STRESS: '1' },
          globalSetup: BUILD_IF_STALE,
        },
      },
      { test: { ...shared, name: 'timing', include: TIMING } },
    ],
  },
})
