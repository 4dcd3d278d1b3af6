import path from 'node:path'
import { expect, it } from 'vitest'
import { createBcryptPool } from '../../../src/auth/bcrypt-pool.ts'
import { ALICE, sidecarForTest } from '../../fixtures/sidecar.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

it('a login is refused with 503 when an update removed the file of the bcrypt thread', async () => {
  const file = path.join(tempFolder(), 'removed.js')
  const sidecar = await sidecarForTest({ bcryptPool: () => createBcryptPool({ file }) })

  const response = await sidecar.request({ path: '/v2/', as: ALICE })

  expect(response.status).toBe(503)
  expect(sidecar.lines).toContainEqual(
    expect.objectContaining({
      event: 'program-not-loaded',
      hint: expect.stringContaining('restart') as string,
    }),
  )
})
