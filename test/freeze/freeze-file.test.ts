import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  freezeFileIn,
  parseFreeze,
  readFreeze,
  writeFreeze,
  writeThaw,
} from '../../src/freeze/freeze-file.ts'
import { newFreeze } from '../fixtures/freeze-scene.ts'
import { sidecarForTest } from '../fixtures/sidecar.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

describe('the freeze file', () => {
  it('keeps a freeze until its end or a thaw', async () => {
    const file = freezeFileIn(tempFolder())
    expect(await readFreeze(file, Date.now())).toBeUndefined()
    const freeze = newFreeze(60_000)
    await writeFreeze(file, freeze)
    expect(await readFreeze(file, freeze.until - 1)).toEqual(freeze)
    expect(await readFreeze(file, freeze.until)).toBeUndefined()
    await writeThaw(file, { at: Date.now(), by: 'test@test' })
    expect(await readFreeze(file, freeze.since)).toBeUndefined()
  })

  it.each([
    ['', /is not a JSON object/],
    ['[1', /is not a JSON object/],
    ['null', /is not a JSON object/],
    ['{"state":"frozen"}', /is damaged/],
    ['{"state":"frozen","id":"1","by":"a","holds":"all","since":"x","until":"y"}', /is damaged/],
  ])('refuses %j', (text, reason) => {
    expect(() => parseFreeze(Buffer.from(text), 'freeze.json')).toThrow(reason)
  })

  it('does not prevent a start if it is damaged, and /readyz says so', async () => {
    const sidecar = await sidecarForTest()
    writeFileSync(path.join(sidecar.folder, 'state', 'freeze.json'), 'nonsense')
    await sidecar.reload().catch(() => undefined)
    expect(await sidecar.readiness()).toMatchObject({
      parts: {
        freeze: { ready: true, state: 'stale', reason: expect.stringMatching(/not a JSON object/) as string },
      },
    })
  })
})
