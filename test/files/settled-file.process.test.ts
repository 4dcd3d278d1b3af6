import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { expect, it } from 'vitest'
import { readSettled } from '../../src/files/settled-file.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

it('readSettled rejects for a named pipe, without waiting for a writer', async () => {
  const file = path.join(tempFolder(), 'htpasswd')
  execFileSync('mkfifo', [file])

  await expect(readSettled(file)).rejects.toMatchObject({
    reason: expect.stringMatching(/^is a pipe,.*put a regular file in its place$/) as unknown,
  })
})
