import path from 'node:path'
import { expect, it } from 'vitest'
import { createBcryptPool } from '../../../src/auth/bcrypt-pool.ts'
import { ALICE, sidecarForTest } from '../../fixtures/sidecar.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'

it('a login is refused with 503 when an update removed the pool of threads, and the next login tries again', async () => {
  let loads = 0
  const loadPiscina = () => {
    loads += 1
    const missing = Object.assign(new Error('piscina is missing'), { code: 'ERR_MODULE_NOT_FOUND' })
    return loads === 1 ? Promise.reject(missing) : import('piscina')
  }
  const sidecar = await sidecarForTest({ bcryptPool: () => createBcryptPool({ loadPiscina }) })
  const ask = async () => (await sidecar.request({ path: '/v2/', as: ALICE })).status

  expect(await ask()).toBe(503)
  const err = expect.objectContaining({ message: 'piscina is missing' }) as unknown
  expect(sidecar.lines).toContainEqual(expect.objectContaining({ event: 'program-not-loaded', err }))
  // There is no registry, so a valid login gets 502.
  expect(await ask()).toBe(502)
  expect(loads).toBe(2)
})

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
