import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { findProgram } from '../fixtures/find-program.ts'
import { FOLDER } from '../fixtures/observability-files.ts'

const promtool = findProgram('promtool')

it.skipIf(promtool === undefined)('the alerts pass their unit tests', () => {
  const args = ['test', 'rules', 'alerts.test.yml']
  expect(execFileSync(promtool ?? '', args, { cwd: FOLDER, encoding: 'utf8' })).toContain('SUCCESS')
})
