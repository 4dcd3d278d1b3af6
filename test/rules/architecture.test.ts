// Holds the rules of src/ARCHITECTURE.md: which room may import which, and where each package lives.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const SRC = path.join(import.meta.dirname, '..', '..', 'src')

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
const isOurs = ({ target }: Import): boolean => target.endsWith('.ts')

/** What each room may import besides itself. A room is a folder of src; those of http are rooms of their own. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  async: [],
  collections: [],
  errors: [],
  observability: ['collections', 'errors'],
  // Pure text: rules for names stand in pki, and the registry's address in upstream.
  settings: ['errors', 'pki', 'upstream'],
  files: ['async', 'errors', 'observability'],
  pki: ['errors'],
  // A machine password is limited by a restriction.
  users: ['access', 'errors', 'files', 'observability'],
  // The table of users is what credentials are checked against.
  auth: ['async', 'collections', 'users'],
  tokens: ['auth', 'users'],
  access: ['errors', 'files', 'observability'],
  freeze: ['async', 'errors', 'files', 'observability'],
  upstream: ['errors'],
  // Texts only.
  'client-setup': [],
  certificates: [
    ...['async', 'errors', 'files', 'http', 'observability', 'pki', 'settings'],
    'http/connections',
  ],
  http: ['access', 'errors', 'observability', 'upstream', 'users', 'http/connections', 'http/pipeline'],
  'http/connections': ['auth', 'errors', 'http', 'http/pipeline', 'upstream'],
  'http/pages': ['client-setup', 'observability', 'http', 'http/pipeline'],
  'http/pipeline': [
    ...['access', 'auth', 'errors', 'freeze', 'observability', 'tokens', 'upstream'],
    ...['http', 'http/connections', 'http/pages', 'http/status'],
  ],
  'http/status': [
    ...['access', 'async', 'auth', 'observability'],
    ...['http', 'http/connections', 'http/pages', 'http/pipeline'],
  ],
  'http/admin': ['async', 'observability', 'http', 'http/status'],
  // The composition root sees every room below the commands.
  app: [
    ...['access', 'async', 'auth', 'certificates', 'errors', 'freeze', 'observability'],
    ...['pki', 'settings', 'tokens', 'upstream', 'users'],
    ...['http', 'http/admin', 'http/connections', 'http/pages', 'http/pipeline', 'http/status'],
  ],
  cli: [
    ...['access', 'app', 'auth', 'certificates', 'client-setup', 'errors', 'files', 'freeze', 'http'],
    ...['observability', 'pki', 'settings', 'upstream', 'users', 'http/pages'],
  ],
  'main.ts': ['app', 'cli'],
}

/** The room that a file belongs to. */
function roomOf(file: string): string {
  const [top = '', second = ''] = file.split('/')
  return MAY_IMPORT[`${top}/${second}`] === undefined ? top : `${top}/${second}`
}

const HOME_OF: Readonly<Record<string, RegExp>> = {
  'http-proxy': /^upstream\/upstream\.ts$/,
  'node-forge': /^pki\/signed-certificate\.ts$/,
  chokidar: /^files\/watch\.ts$/,
  jose: /^tokens\/signed-tokens\.ts$/,
  bcryptjs: /^auth\/bcrypt\.ts$/,
  hono: /^http\//,
  '@hono/node-server': /^http\/(?:admin\/admin-pages|status\/admin-status)\.ts$/,
  piscina: /^(?:auth\/bcrypt-pool|access\/rules-file\/read-rules)\.ts$/,
  'ipaddr.js': /^http\/client-address\.ts$/,
  pino: /^observability\/log\.ts$/,
  'pino-pretty': /^observability\/log\.ts$/,
  'prom-client': /^observability\/(?:event-)?metrics\.ts$/,
  zod: /^access\/rules-file\/rules-schema\.ts$/,
  yaml: /^access\/rules-file\/yaml-text\.ts$/,
  commander: /^cli\/(?:cli|program\/.*)\.ts$/,
}

/** Once in these files, word for word. OpenSSL verifies there too, and those files obey its verdict. */
const ALLOWED: Readonly<Record<string, string>> = {
  // Connects to a certificate that clients refuse, to report what is wrong with it.
  'cli/check-host/handshake.ts': 'ca: [], rejectUnauthorized: false',
  // The pipeline refuses client certificates with an explanation, and serves the root to clients without one.
  'http/connections/tls-policy.ts': 'requestCert: true, rejectUnauthorized: false',
}

describe('the source', () => {
  it('has files to look at, and imports among them', () => {
    expect(files.length).toBeGreaterThan(30)
    expect(imports.filter(isOurs).length).toBeGreaterThan(60)
  })

  it('imports only what the rules allow, so that each room can be read alone', () => {
    const wrong = imports.filter(isOurs).filter(({ from, target }) => {
      const [own, other] = [roomOf(from), roomOf(target)]
      return own !== other && MAY_IMPORT[own]?.includes(other) !== true
    })
    expect(wrong, 'imports from a room that MAY_IMPORT does not list').toEqual([])
  })

  it('has no rule for an import that does not exist, so that the rules describe the code', () => {
    const used = new Set(
      imports.filter(isOurs).map(({ from, target }) => `${roomOf(from)} > ${roomOf(target)}`),
    )
    const dead = Object.entries(MAY_IMPORT)
      .flatMap(([room, others]) => others.map((other) => `${room} > ${other}`))
      .filter((rule) => !used.has(rule))
    expect(dead).toEqual([])
  })

  it('has nothing loose in src, and no two files of one name', () => {
    expect(files.filter((file) => !file.includes('/'))).toEqual(['main.ts'])
    const names = files.map((file) => path.posix.basename(file))
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
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

  it('keeps what is private to sockets in one file each', () => {
    const filesWith = (pattern: RegExp): string[] =>
      files.filter((file) => file.startsWith('http/') && pattern.test(code(file)))
    // Node's private names. `_parent` is checked at start; `_httpMessage` is not used.
    expect(filesWith(/\b_(?:parent|httpMessage|handle)\b/)).toEqual(['http/connections/connection.ts'])
    expect(filesWith(/\bSymbol\(/)).toEqual(['http/connections/connection.ts'])
    expect(filesWith(/remoteAddress/)).toEqual(['http/client-address.ts'])
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
    expect(code('http/connections/listener.ts')).toContain('insecureHTTPParser: false,')
  })
})

function code(file: string): string {
  return textOf(file).replace(/^\s*(?:\/\/|\/?\*).*$/gm, '')
}
