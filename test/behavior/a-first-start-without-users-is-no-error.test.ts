import { rmSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { portOf, run, start } from '../fixtures/process.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

const ERROR = 50

it('logs the command that adds the first user; a users file that disappears is an error', async () => {
  const cwd = tempFolder()
  const env = {
    SIDECAR_LISTEN: '127.0.0.1:0',
    SIDECAR_ADMIN_LISTEN: 'off',
    SIDECAR_UPSTREAM: 'http://127.0.0.1:1',
  }
  const sidecar = start([], { cwd, env })
  await portOf(sidecar)

  const hint = await sidecar.line(/no users yet/)
  const [, command = ''] = /registry-sidecar (user add NAME --users \S+)"/.exec(hint) ?? []
  const added = await run(command.replace('NAME', 'alice').split(' '), { cwd, input: 'secret\n' })
  expect(added).toMatchObject({ code: 0, stderr: '' })
  await sidecar.line(/users in force.*/)
  expect(levelsOf(sidecar.stdout().split('\n').slice(0, -1)).filter((level) => level >= ERROR)).toEqual([])

  rmSync(path.join(cwd, 'users', 'htpasswd'))

  expect(levelsOf([await sidecar.line(/file not loaded; the previous version stays in use/)])).toEqual([
    ERROR,
  ])
})

function levelsOf(lines: readonly string[]): readonly number[] {
  return lines.map((line) => (JSON.parse(line) as { level: number }).level)
}
