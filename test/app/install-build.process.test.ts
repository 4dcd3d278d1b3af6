import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { tempFolder } from '../fixtures/temp-folder.ts'

const ROOT = path.join(import.meta.dirname, '..', '..')

it('a build replaces main.js and keeps the chunks that a running sidecar imports', () => {
  const folder = tempFolder()
  write(folder, 'dist', ['main.js', 'chunk-OLD.js'])
  write(folder, 'dist.new', ['main.js', 'chunk-NEW.js'])

  execFileSync(process.execPath, [path.join(ROOT, 'install-build.mjs')], { cwd: folder })

  expect(readdirSync(path.join(folder, 'dist')).toSorted()).toEqual([
    'chunk-NEW.js',
    'chunk-OLD.js',
    'main.js',
  ])
  expect(readdirSync(folder)).toEqual(['dist'])
  const main = path.join(folder, 'dist/main.js')
  expect([readFileSync(main, 'utf8'), statSync(main).mode & 0o777]).toEqual(['dist.new', 0o755])
})

it('the scripts of the package remove nothing from dist', () => {
  const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  expect(scripts['build']).not.toContain("rmSync('dist',")
  expect(scripts['bundle']).toBe('node bundle.mjs')
  expect(readFileSync(path.join(ROOT, 'bundle.mjs'), 'utf8')).toContain("outdir: 'dist.new'")
})

function write(folder: string, into: string, names: readonly string[]): void {
  mkdirSync(path.join(folder, into))
  for (const name of names) writeFileSync(path.join(folder, into, name), into)
}
