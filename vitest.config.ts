import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { defineConfig } from 'vitest/config'
import type { InlineConfig } from 'vitest/node'
import { SlowFirst } from './test/fixtures/slow-first.ts'

// Absolute, so that this configuration also works with another `--root`.
const TESTS = path.join(import.meta.dirname, 'test')
const FIXTURES = path.join(TESTS, 'fixtures')

const ALL = ['test/**/*.test.ts']
// Tests that start processes, use real parts, or take long on purpose. All others are fast, which
// test/rules/fast-tests.test.ts holds.
const SLOW = ['test/{behavior,browser,e2e,fuzz}/**/*.test.ts', '**/*.{process,slow}.test.ts']
// Compares times by statistics, so it takes over a minute.
const TIMING = ['test/timing/**/*.test.ts']
// Swarm and podman change networks of the machine, which breaks other tests that use containers.
const CLUSTER = ['test/cluster/**/*.test.ts']
// Tests that replace a module, which would reach other tests of the same process.
const MOCKING = testsWith('vi.mock(')
// Tests that take much processor time for a promise that few changes can break.
const STRESS_ONLY = ['**/*.stress.test.ts']
// Tests that choose a number of repetitions. They run in `fast` or `slow` too, with fewer.
const STRESS = testsWith('/fixtures/repetitions.ts')

const shared = {
  pool: 'forks',
  execArgv: ['--require', `${FIXTURES}/typescript-in-threads.cjs`],
  setupFiles: `${FIXTURES}/record-logs.ts`,
  testTimeout: 60_000,
  hookTimeout: 60_000,
} satisfies InlineConfig
// For tests that start processes.
const built = { ...shared, globalSetup: `${FIXTURES}/build-if-stale.ts` }
// The files of a worker share one process. Loading the modules again for each file takes a third of the time.
const together = { isolate: false }

export default defineConfig(({ mode }) => {
  // Vitest's flag --exclude does not reach the projects.
  const left = mode === 'without-e2e' ? ['test/e2e/**'] : []
  return {
    test: {
      // Most tests wait for timers and other processes most of the time.
      maxWorkers: 3 * availableParallelism(),
      sequence: { sequencer: SlowFirst },
      // With the setup file above it fails a run that logged a secret.
      globalSetup: `${FIXTURES}/no-secret-is-logged.ts`,
      coverage: { provider: 'v8', include: ['src/**'] },
      projects: [
        {
          test: {
            ...shared,
            ...together,
            name: 'fast',
            include: ALL,
            exclude: [...SLOW, ...TIMING, ...CLUSTER, ...STRESS_ONLY],
          },
        },
        {
          test: {
            ...built,
            ...together,
            name: 'slow',
            // With these modes, fast tests too: in two projects, each worker would load all modules twice.
            include: mode === 'all' || mode === 'without-e2e' ? ALL : SLOW,
            exclude: [...MOCKING, ...TIMING, ...CLUSTER, ...STRESS_ONLY, ...left],
          },
        },
        {
          test: {
            ...built,
            name: 'slow-alone',
            include: MOCKING,
            exclude: [...TIMING, ...STRESS_ONLY, ...left],
          },
        },
        {
          test: {
            ...built,
            name: 'stress',
            include: [...STRESS, ...STRESS_ONLY],
            exclude: left,
            env: { STRESS: '1' },
          },
        },
        { test: { ...shared, name: 'timing', include: TIMING } },
        { test: { ...built, name: 'cluster', include: CLUSTER, fileParallelism: false } },
      ],
    },
  }
})

/** The test files with this text. */
function testsWith(text: string): string[] {
  return readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .filter((name) => readFileSync(path.join(TESTS, name), 'utf8').includes(text))
    .map((name) => `test/${name}`)
}
