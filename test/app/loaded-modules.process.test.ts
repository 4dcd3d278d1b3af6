import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { portOf, start } from '../fixtures/process.ts'
import { folderWithAlice } from '../fixtures/sidecar.ts'

const ROOT = path.join(import.meta.dirname, '..', '..')

/** Loaded only when a certificate is issued, a password or token is checked, a page is opened, or by other commands. */
const ON_DEMAND = [
  // Node's fetch.
  /^node:internal\/deps\/undici\//,
  /node_modules\/(?:@hono\/node-server|node-forge|jose|piscina|pino-pretty|zod|yaml)\//,
  /^src\/pki\/(?:issue|signed-certificate)\.ts$/,
  /^src\/http\/(?:admin\/admin-pages|pages\/(?:document|trust-page|status-page))\.ts$/,
  /^src\/access\/rules-file\/rules-worker\.ts$/,
  /^src\/cli\/(?:check|check-host|completion|trust|user)\//,
]

// A name or address that this machine gets between the starts causes a new leaf, which loads node-forge.
it('serve with existing state loads nothing that it does not use', { retry: 2 }, async () => {
  const folder = folderWithAlice()

  const first = await filesLoadedBy(folder, 'first')
  expect(first).toContain('src/pki/issue.ts')

  const second = await filesLoadedBy(folder, 'second')
  expect(second).toContain('src/http/pipeline/pipeline.ts')
  expect(second.filter((file) => ON_DEMAND.some((pattern) => pattern.test(file)))).toEqual([])
})

/** Starts and stops the sidecar. Node lists all loaded files in its coverage report. */
async function filesLoadedBy(folder: string, name: string): Promise<readonly string[]> {
  const reports = path.join(folder, name)
  const running = start(['serve', '--upstream', 'http://127.0.0.1:1'], {
    cwd: folder,
    env: {
      NODE_V8_COVERAGE: reports,
      SIDECAR_LISTEN: '127.0.0.1:0',
      SIDECAR_ADMIN_LISTEN: '127.0.0.1:0',
      SIDECAR_LOG_FORMAT: 'json',
    },
  })
  await portOf(running)
  running.child.kill('SIGTERM')
  expect((await running.finished).code).toBe(0)
  return readdirSync(reports).flatMap((report) => {
    const { result } = JSON.parse(readFileSync(path.join(reports, report), 'utf8')) as {
      readonly result: readonly { readonly url: string }[]
    }
    return result.flatMap(({ url }) => (url.startsWith('file:') ? sourcesOf(fileURLToPath(url)) : [url]))
  })
}

/** The sources of a file of the build, relative to the top folder. */
function sourcesOf(file: string): readonly string[] {
  const dist = path.join(ROOT, 'dist')
  if (path.dirname(file) !== dist) return [path.relative(ROOT, file)]
  const { sources } = JSON.parse(readFileSync(`${file}.map`, 'utf8')) as {
    readonly sources: readonly string[]
  }
  return sources.map((source) => path.relative(ROOT, path.resolve(dist, source)))
}
