import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { beginFreeze } from '../../../src/cli/freeze/own-freeze.ts'
import { thaw } from '../../../src/cli/freeze/thaw.ts'
import { createFreeze, freezeFileIn, writeFreeze } from '../../../src/freeze/freeze-file.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

it('prints no text of the freeze file that a terminal would execute', async () => {
  const stateDir = tempFolder()
  const by = 'a\x1b[2J\u009b\u202e@host'
  const since = Date.now()
  const freeze = createFreeze({ since, until: since + 60_000, by, runsProgram: true })
  await writeFreeze(freezeFileIn(stateDir), freeze)
  await expect(beginFreeze({ stateDir }, { frozenForMs: 1_000, runsProgram: false })).rejects.toThrow(
    /^a\\u\{1b\}\[2J\\u\{9b\}\\u\{202e\}@host runs a program/,
  )
  const stdout = new PassThrough()
  const { env, stdin, stderr } = process
  await thaw({ stateDir, json: true }, { env, stdin, stdout, stderr, onSignal: () => () => undefined })
  stdout.end()
  const json = await text(stdout)
  expect(json.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  expect(JSON.parse(json)).toMatchObject({ by })
})
