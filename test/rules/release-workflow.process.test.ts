// Checks the release workflow as far as possible without GitHub.

import { build as bundle } from 'esbuild'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'

const ROOT = path.join(import.meta.dirname, '..', '..')
const FILE = '.github/workflows/release.yml'

const text = readFileSync(path.join(ROOT, FILE), 'utf8')
const dockerfile = readFileSync(path.join(ROOT, 'docker', 'Dockerfile'), 'utf8')

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly with?: Readonly<Record<string, string>>
}

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>>
}

const workflow = parse(text) as Workflow
const steps = Object.values(workflow.jobs).flatMap((job) => job.steps)
const build = steps.find(({ uses }) => uses?.startsWith('docker/build-push-action@'))?.with ?? {}

let parser: typeof import('@actions/workflow-parser')

// The package imports JSON in a way that Node refuses, so it is bundled.
beforeAll(async () => {
  const entry = { contents: "export * from '@actions/workflow-parser'", resolveDir: ROOT }
  const options = { bundle: true, format: 'esm', platform: 'node', write: false } as const
  const { outputFiles } = await bundle({ stdin: entry, ...options })
  const folder = makeTempFolder()
  const file = path.join(folder, 'parser.mjs')
  writeFileSync(file, outputFiles[0]?.text ?? '')
  parser = (await import(pathToFileURL(file).href)) as typeof parser
  removeFolder(folder)
})

async function errorsIn(content: string): Promise<readonly string[]> {
  const { context, value } = parser.parseWorkflow(
    { name: FILE, content },
    new parser.NoOperationTraceWriter(),
  )
  if (value !== undefined) await parser.convertWorkflowTemplate(context, value)
  return context.errors.getErrors().map(({ message }) => message)
}

describe('the release workflow', () => {
  it('is valid for the parser of GitHub', async () => {
    expect(await errorsIn(text)).toEqual([])
  })

  it.each([
    ['a misspelt key', 'runs-on:', 'run-on:'],
    ['a job that does not exist', 'needs: try', 'needs: test'],
    ['an unknown permission', 'id-token: write', 'id-tokens: write'],
    ['a broken expression', '${{ matrix.base }}', '${{ matrix.base }'],
  ])('would not be valid with %s', async (_what, right, wrong) => {
    expect(text).toContain(right)
    expect(await errorsIn(text.replaceAll(right, wrong))).not.toEqual([])
  })

  it('pins each action to a commit, with the version beside it', () => {
    const lines = text.split('\n').filter((line) => /\buses:/.test(line))
    expect(lines.length).toBeGreaterThan(4)
    expect(lines.filter((line) => !/uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual(
      [],
    )
  })

  it('lets no text of an event into a script, where the shell would run it', () => {
    const scripts = steps.flatMap(({ run }) => run ?? [])
    expect(scripts.length).toBeGreaterThan(3)
    expect(scripts.filter((script) => script.includes('${{'))).toEqual([])
  })

  it('may only read, except where it publishes', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' })
    const rights = Object.entries(workflow.jobs).map(([name, job]) => [
      name,
      (job as { permissions?: object }).permissions,
    ])
    expect(Object.fromEntries(rights)).toEqual({
      try: undefined,
      publish: { contents: 'read', packages: 'write', 'id-token': 'write' },
    })
  })

  it('builds for both architectures, with provenance and SBOM, and signs the digest', () => {
    expect(build).toMatchObject({
      platforms: 'linux/amd64,linux/arm64',
      provenance: 'mode=max',
      sbom: true,
      push: true,
    })
    expect(steps.at(-1)?.run).toBe('cosign sign --yes --recursive "$REFERENCE"')
    expect(text).toMatch(/REFERENCE: .*@\$\{\{ steps\.push\.outputs\.digest \}\}$/m)
  })

  it('names files and build arguments that exist', () => {
    expect(existsSync(path.join(ROOT, build['file'] ?? ''))).toBe(true)
    expect(/ -f (\S+)/.exec(text)?.[1]).toBe(build['file'])
    const known = Array.from(dockerfile.matchAll(/^ARG (\w+)/gm), ([, name]) => name)
    const used = (build['build-args'] ?? '')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('=')[0])
    expect(used.length).toBeGreaterThan(6)
    expect(known).toEqual(expect.arrayContaining(used))
  })

  it('runs where the last stage of the Dockerfile runs nothing, so that no emulator is needed', () => {
    const [, last = ''] = dockerfile.split('FROM ${BASE_IMAGE}')
    expect(last).toContain('COPY --from=build')
    expect(last).not.toMatch(/^RUN\b/m)
  })
})
