import { availableParallelism } from 'node:os'
import path from 'node:path'
import { defineConfig } from 'vitest/config'
import type { InlineConfig } from 'vitest/node'
import { EndToEndFirst } from './test/fixtures/end-to-end-first.ts'

// Absolute, so that this configuration also works with another `--root`.
const FIXTURES = path.join(import.meta.dirname, 'test', 'fixtures')

// Tests that start processes, use real parts, or take long on purpose. All others are fast, which
// test/rules/fast-tests.test.ts holds.
const SLOW = ['test/{behavior,browser,e2e,fuzz}/**/*.test.ts', '**/*.{process,slow}.test.ts']
// Compares times by statistics, so it takes over a minute.
const TIMING = ['test/timing/**/*.test.ts']

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
      { test: { ...shared, name: 'fast', include: ['test/**/*.test.ts'], exclude: [...SLOW, ...TIMING] } },
      { test: { ...shared, name: 'slow', include: SLOW, globalSetup: `${FIXTURES}/build-if-stale.ts` } },
      { test: { ...shared, name: 'timing', include: TIMING } },
    ],
  },
})
