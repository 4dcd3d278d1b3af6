// Runs docker/garbage-collect.sh with a `docker` that records its calls.

import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const SCRIPT = path.join(import.meta.dirname, '..', '..', 'docker', 'garbage-collect.sh')
const LOCK = path.join(path.dirname(SCRIPT), '.garbage-collect.lock')

interface Outcome {
  readonly code: number
  readonly stderr: string
  readonly calls: readonly string[]
}

/** `answers` are lines of a shell `case` on the arguments. */
async function collect(answers: string, args: readonly string[] = []): Promise<Outcome> {
  const folder = tempFolder()
  const calls = path.join(folder, 'calls')
  const docker = `#!/bin/sh\necho "$*" >>${calls}\ncase "$*" in\n${answers}\nesac\n`
  writeFileSync(path.join(folder, 'docker'), docker, { mode: 0o755 })
  const env = { PATH: `${folder}:${process.env['PATH'] ?? ''}`, FREEZE_WAIT: '1m' }
  const running = promisify(execFile)(SCRIPT, [...args], { env })
  const { code, stderr } = await running.then(
    () => ({ code: 0, stderr: '' }),
    (error: unknown) => error as { code: number; stderr: string },
  )
  const lines = readFileSync(calls, 'utf8').split('\n')
  return { code, stderr, calls: lines.filter((line) => line !== '' && line !== 'compose version') }
}

const QUIET = `*freeze*) echo '{"action":"frozen","sidecars":1,"pushes":0}' ;;`
const FREEZE = 'compose exec -T sidecar registry-sidecar freeze --for 2h --wait 1m --json'
const COLLECT = 'compose exec -T registry registry garbage-collect /etc/docker/registry/config.yml'
const THAW = 'compose exec -T sidecar registry-sidecar thaw'

describe('docker/garbage-collect.sh', () => {
  it('freezes, collects, restarts the registry, waits until it answers, and thaws', async () => {
    const { code, calls } = await collect(QUIET, ['--delete-untagged'])
    expect(code).toBe(0)
    expect(calls).toEqual([
      FREEZE,
      COLLECT.replace('garbage-collect ', 'garbage-collect --delete-untagged '),
      'compose restart registry',
      'compose exec -T sidecar registry-sidecar healthcheck',
      THAW,
    ])
  })

  it('collects nothing while pushes run', async () => {
    const { code, stderr, calls } = await collect(`*freeze*) echo '{"action":"frozen","pushes":2}' ;;`)
    expect(code).toBe(1)
    expect(stderr).toMatch(/pushes still run, so nothing is deleted/)
    expect(calls).toEqual([FREEZE, THAW])
  })

  it('does not thaw if its freeze is refused, because then another freeze is in force', async () => {
    const { code, calls } = await collect('*freeze*) exit 1 ;;')
    expect(code).toBe(1)
    expect(calls).toEqual([FREEZE])
  })

  it('does nothing while another run goes on', async () => {
    const other = collect('*freeze*) sleep 1; exit 1 ;;')
    await until(() => existsSync(LOCK), { deadlineMs: 10_000, what: 'the lock of the other run' })
    const { code, stderr, calls } = await collect(QUIET)
    expect(code).toBe(1)
    expect(stderr).toMatch(/another garbage collection runs/)
    expect(calls).toEqual([])
    await other
    expect(existsSync(LOCK)).toBe(false)
  })

  it('thaws after a failure', async () => {
    const { code, calls } = await collect(`${QUIET}\n*garbage-collect*) exit 3 ;;`)
    expect(code).toBe(3)
    expect(calls).toEqual([FREEZE, COLLECT, THAW])
  })
})
