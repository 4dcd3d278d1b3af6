import { readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { renewedCert } from '../fixtures/renewed-cert.ts'
import { sidecarForTest } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/until.ts'

it('equals /-/ca.crt from the start, after a root renewal, and after its removal', async () => {
  const sidecar = await sidecarForTest()
  const stateDir = path.join(sidecar.folder, 'state')
  const folder = path.join(stateDir, 'trust')
  const inFolder = () => readFileSync(path.join(folder, 'ca.crt'), 'utf8')
  const served = async () => (await sidecar.request({ path: '/-/ca.crt' })).body.toString()
  const before = await served()
  expect(inFolder()).toBe(before)
  expect(readdirSync(folder)).toEqual(['ca.crt'])

  await renewedCert(stateDir, { root: true })
  await until(() => inFolder() !== before, { deadlineMs: 2_000, what: 'the new root' })
  expect(inFolder()).toBe(await served())

  rmSync(folder, { recursive: true })
  await sidecar.reload()
  expect(inFolder()).toBe(await served())
  expect(readdirSync(folder)).toEqual(['ca.crt'])
})
