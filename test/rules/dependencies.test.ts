import { describe, expect, it } from 'vitest'
import {
  bytesOf,
  lockedVersionOf,
  productionPackages,
  wantedVersions,
} from '../fixtures/production-packages.ts'

// Each lets everybody use, change and pass on what is under it, also inside a product under another license.
const LICENSES: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
])

const MAX_BYTES = 25_000_000

const packages = productionPackages()

/** One free license is enough in a choice, as in "(BSD-3-Clause OR GPL-2.0)". */
function isFree(license: string): boolean {
  const choices = license.replace(/^\((.*)\)$/, '$1').split(' OR ')
  return choices.some((choice) => LICENSES.has(choice))
}

describe('the packages that the product runs with', () => {
  it('are those that are asked for and what these need', () => {
    const names = packages.map(({ name }) => name)
    expect(names).toContain('http-proxy')
    expect(names).toContain('follow-redirects')
    expect(names).not.toContain('vitest')
  })

  it('are under licenses that ask for nothing but to be named', () => {
    const others = packages.filter(({ license }) => !isFree(license))
    expect(others.map(({ name, license }) => `${name}: ${license}`)).toEqual([])
  })

  it('run nothing when they are installed', () => {
    expect(packages.filter(({ hasInstallScript }) => hasInstallScript)).toEqual([])
  })

  it('are the very bytes that the lock file names', () => {
    const loose = packages.filter(({ integrity }) => integrity?.startsWith('sha512-') !== true)
    expect(loose).toEqual([])
  })

  it('take less than 25 MB', () => {
    const folders = packages.flatMap(({ folder }) => folder ?? [])
    expect(folders.length).toBeGreaterThan(30)
    expect(folders.reduce((sum, folder) => sum + bytesOf(folder), 0)).toBeLessThan(MAX_BYTES)
  })

  it('are asked for in exact versions, which are those that are locked', () => {
    for (const [name, version] of Object.entries(wantedVersions())) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+$/)
      expect(lockedVersionOf(name), name).toBe(version)
    }
  })
})
