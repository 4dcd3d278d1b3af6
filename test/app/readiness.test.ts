import { expect, it, vi } from 'vitest'
import { sidecarForTest } from '../fixtures/sidecar.ts'

it('the hint for a file that is tried again does not ask for a correction', async () => {
  const sidecar = await sidecarForTest()
  const state = vi.spyOn(sidecar.users, 'state', 'get')
  const usersWith = async (isTransient: true | undefined) => {
    state.mockReturnValue({ kind: 'stale', reason: 'not loaded', isTransient })
    return (await sidecar.readiness()).parts.users
  }
  const stale = { ready: true, state: 'stale', reason: 'not loaded' }
  const triedAgain = expect.stringMatching(/may be correct, and is tried again; the log line/) as unknown
  expect(await usersWith(true)).toEqual({ ...stale, hint: triedAgain })
  const correct = expect.stringMatching(/^correct the file/) as unknown
  expect(await usersWith(undefined)).toEqual({ ...stale, hint: correct })
})
