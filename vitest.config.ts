import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    pool: 'forks',
    // Most tests wait for timers and other processes most of the time.
    maxWorkers: availableParallelism() + 1,
    // Worker threads of the code under test load TypeScript too.
    execArgv: ['--require', './test/fixtures/typescript-in-threads.cjs'],
    include: ['test/**/*.test.ts'],
    // Together they see to it that a run fails when it logged a secret.
    globalSetup: 'test/fixtures/no-secret-is-logged.ts',
    setupFiles: 'test/fixtures/record-logs.ts',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: { provider: 'v8', include: ['src/**'] },
  },
})
