// Builds the image twice, from checkouts that differ in times and modes only.

import { chmodSync, readdirSync, statSync, utimesSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker, hasEngine } from '../fixtures/engine.ts'
import { buildImage, buildSidecarImage, copyProject, SIDECAR_IMAGE } from '../fixtures/sidecar-image.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const REBUILT = `registry-sidecar:e2e-rebuilt-${process.pid}`
const LATER = `registry-sidecar:e2e-later-${process.pid}`

describe.skipIf(!hasEngine())('the image', { timeout: 60_000 }, () => {
  const copy = makeTempFolder()

  beforeAll(async () => {
    copyProject(copy)
    await buildSidecarImage(copy)
    restrict(copy)
    await buildImage(copy, ['--no-cache', '-t', REBUILT])
    await buildImage(copy, ['--build-arg', 'SOURCE_DATE_EPOCH=1700000000', '-t', LATER])
  }, 900_000)
  afterAll(async () => {
    removeFolder(copy)
    await docker(['image', 'rm', REBUILT, LATER])
  })

  it('has the same layers in each build', async () => {
    const layers = await layersOf(SIDECAR_IMAGE)
    expect(layers.length).toBeGreaterThan(2)
    expect(await layersOf(REBUILT)).toEqual(layers)
  })

  it('has other layers with another SOURCE_DATE_EPOCH', async () => {
    const [layers, others] = [await layersOf(REBUILT), await layersOf(LATER)]
    expect(others).toHaveLength(layers.length)
    expect(others.at(-1)).not.toBe(layers.at(-1))
  })
})

async function layersOf(image: string): Promise<readonly string[]> {
  const { stdout } = await docker(['image', 'inspect', '-f', '{{json .RootFS.Layers}}', image])
  return JSON.parse(stdout) as string[]
}

/** As after a checkout with umask 077, at another time. */
function restrict(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const file = path.join(folder, name)
    chmodSync(file, statSync(file).mode & 0o700)
    utimesSync(file, 1, 1)
  }
}
