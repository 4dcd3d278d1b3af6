// Holds the rules of src/ARCHITECTURE.md: who may import whom, and where each package lives.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const SRC = path.join(import.meta.dirname, '..', 'src')

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.split(path.sep).join('/'))
const textOf = (file: string): string => readFileSync(path.join(SRC, file), 'utf8')

interface Import {
  readonly from: string
  readonly target: string
}

const IMPORTS = /^(?:import|export|\}).* from '([^']+)'$|\bimport\(?\s?'([^']+)'|\)\('([^']+)'\)/gm
const imports = files.flatMap((from) =>
  [...textOf(from).matchAll(IMPORTS)].map((match) => {
    const target = match.slice(1).join('')
    const isRelative = target.startsWith('.')
    return { from, target: isRelative ? path.posix.join(path.posix.dirname(from), target) : target }
  }),
)
const folderOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '')
const isOurs = ({ target }: Import): boolean => target.endsWith('.ts')

/** What a folder may import of ours besides itself: other folders, and files at the top. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  // Pages tell people the same as the command does; trust/ is texts alone.
  http: ['auth', 'access', 'upstream', 'trust', 'log.ts', 'errors.ts', 'metrics.ts'],
  auth: ['atomic-file.ts', 'file-lock.ts', 'regular-file.ts', 'log.ts', 'errors.ts', 'metrics.ts'],
  access: ['log.ts', 'errors.ts', 'metrics.ts'],
  upstream: ['log.ts', 'errors.ts', 'metrics.ts'],
  tls: ['atomic-file.ts', 'file-lock.ts', 'regular-file.ts', 'log.ts', 'errors.ts', 'metrics.ts'],
  trust: [],
  // What is in force is composed here: files as values that change, and what other parts need of them.
  certificates: ['tls', 'reload', 'auth', 'http', 'users.ts', 'config.ts', 'log.ts', 'errors.ts'],
  reload: ['regular-file.ts', 'log.ts', 'errors.ts', 'metrics.ts'],
}

const HOME_OF: Readonly<Record<string, RegExp>> = {
  'http-proxy': /^upstream\/upstream\.ts$/,
  'node-forge': /^tls\/signed-certificate\.ts$/,
  chokidar: /^reload\/watch\.ts$/,
  bcryptjs: /^auth\/bcrypt\.ts$/,
  hono: /^http\//,
  '@hono/node-server': /^http\//,
  piscina: /^(?:auth\/bcrypt-pool|access\/read-rules)\.ts$/,
  'lru-cache': /^auth\/(?:verified-cache|throttle)\.ts$/,
  'ipaddr.js': /^auth\/source\.ts$/,
  pino: /^log\.ts$/,
  'pino-pretty': /^log\.ts$/,
  'prom-client': /^metrics\.ts$/,
  zod: /^(?:config|access\/rules-schema)\.ts$/,
  yaml: /^access\/yaml-text\.ts$/,
  commander: /^commands\/cli\.ts$/,
}

/** Once in these files, word for word. OpenSSL verifies there all the same, and its verdict is heeded: see there. */
const ALLOWED: Readonly<Record<string, string>> = {
  // The look at a certificate that clients refuse, to say what is wrong with it.
  'commands/check/handshake.ts': 'ca: [], rejectUnauthorized: false',
  // The pipeline refuses clients' certificates, with a sentence, and hands out the root to whoever has none.
  'http/secure-context.ts': 'requestCert: true, rejectUnauthorized: false',
}

describe('the source', () => {
  it('has files to look at, and imports among them', () => {
    expect(files.length).toBeGreaterThan(30)
    expect(imports.filter(isOurs).length).toBeGreaterThan(60)
  })

  it('imports downwards only, so that each part can be read alone', () => {
    const wrong = imports.filter(isOurs).filter(({ from, target }) => {
      const allowed = MAY_IMPORT[folderOf(from)]
      if (allowed === undefined || folderOf(target) === folderOf(from)) return false
      return !allowed.includes(folderOf(target)) && !allowed.includes(target)
    })
    expect(wrong).toEqual([])
  })

  it('has no file below the commands that imports a command', () => {
    const wrong = imports.filter(
      ({ from, target }) =>
        folderOf(target) === 'commands' &&
        folderOf(from) !== 'commands' &&
        from !== 'main.ts' &&
        target !== 'commands/world.ts',
    )
    expect(wrong).toEqual([])
  })

  it('has no cycle', () => {
    const targetsOf = new Map(files.map((file) => [file, [] as string[]]))
    for (const { from, target } of imports.filter(isOurs)) targetsOf.get(from)?.push(target)
    const done = new Set<string>()
    const visit = (file: string, trail: readonly string[]): void => {
      expect(trail, `a cycle through ${file}`).not.toContain(file)
      if (done.has(file)) return
      for (const target of targetsOf.get(file) ?? []) visit(target, [...trail, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
  })

  it('gives each package one home, so that replacing it changes one file', () => {
    const packages = imports.filter(({ target }) => !target.endsWith('.ts') && !target.startsWith('node:'))
    const strays = packages.filter(({ from, target }) => {
      if (target.endsWith('package.json')) return false
      const name = target.startsWith('@')
        ? target.split('/').slice(0, 2).join('/')
        : (target.split('/')[0] ?? '')
      return HOME_OF[name]?.test(from) !== true
    })
    expect(strays).toEqual([])
    for (const name of ['http-proxy', 'hono', '@hono/node-server', 'bcryptjs', 'node-forge', 'chokidar']) {
      expect(
        packages.some(({ target }) => target === name || target.startsWith(`${name}/`)),
        `${name} is used`,
      ).toBe(true)
    }
  })

  it('touches process and console in main.ts alone, so that everything else can run in a test', () => {
    const wrong = files.filter(
      (file) => file !== 'main.ts' && /(?<![.\w'-])(?:process|console)\.\w/.test(code(file)),
    )
    expect(wrong).toEqual([])
  })

  it('has no drawer for things without a place', () => {
    const drawers = files.filter((file) => /(^|\/)(utils?|helpers?|common|types|index)\.ts$/.test(file))
    expect(drawers).toEqual([])
  })

  it('never switches off what protects: certificate checks, the strict parser', () => {
    const wrong = files.filter((file) => {
      const text = code(file).replace(ALLOWED[file] ?? '\0', '')
      return /rejectUnauthorized|NODE_TLS_REJECT|insecureHTTPParser(?!: false,)/.test(text)
    })
    expect(wrong).toEqual([])
    expect(code('http/listener.ts')).toContain('insecureHTTPParser: false,')
  })
})

function code(file: string): string {
  return textOf(file).replace(/^\s*(?:\/\/|\/?\*).*$/gm, '')
}
