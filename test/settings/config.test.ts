import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/settings/config.ts'
import { ConfigError } from '../../src/errors/errors.ts'
import { flagOf, variableOf } from '../../src/settings/setting.ts'
import { settingNames } from '../../src/settings/table.ts'
import { addressText } from '../../src/upstream/connect/registry-address.ts'

function problemsOf(env: Record<string, string>, flags: Record<string, string> = {}): readonly string[] {
  try {
    parseConfig({ env, flags })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

describe('settings', () => {
  it('have defaults for a registry on this machine', () => {
    expect(parseConfig({ env: {} })).toEqual({
      upstream: { hostname: '127.0.0.1', port: 5000 },
      listen: { host: undefined, port: 8443 },
      adminListen: { host: '127.0.0.1', port: 8444 },
      reusePort: false,
      trustedProxies: [],
      proxyProtocol: 'off',
      users: 'users/htpasswd',
      stateDir: 'state',
      rootDir: undefined,
      tlsCert: undefined,
      tlsKey: undefined,
      tlsKeyPasswordFile: undefined,
      tlsClientCa: undefined,
      tlsClientAuth: 'require',
      tlsClientName: { kind: 'cn' },
      hosts: [],
      caConstrain: false,
      realm: 'Registry',
      challenge: 'auto',
      hsts: 'off',
      authCache: 600_000,
      throttle: { failures: 20, windowMs: 60_000 },
      corsOrigins: [],
      spliceMemory: 64 * 1024 * 1024,
      idleTimeout: 300_000,
      responseTimeout: 900_000,
      drainTimeout: 25_000,
      drainDelay: 0,
      maxConnections: 8_000,
      maxConnectionsPerSource: 4_000,
      handshakeTimeout: 10_000,
      headerTimeout: 60_000,
      maxRequestsPerConnection: 10_000,
      maxTransfersPerUser: 2_000,
      watchPoll: 1_000,
      logLevel: 'info',
      audit: 'off',
      logFormat: undefined,
    })
  })

  it('are frozen', () => {
    expect(Object.isFrozen(parseConfig({ env: {} }))).toBe(true)
  })

  it('come from the environment; a flag wins', () => {
    const env = { SIDECAR_LISTEN: ':1', SIDECAR_DRAIN_TIMEOUT: '2m' }
    const config = parseConfig({ env, flags: { listen: '[::1]:2' } })
    expect(config.listen).toEqual({ host: '::1', port: 2 })
    expect(config.drainTimeout).toBe(120_000)
  })

  it('accept a unix socket with a path of at most 107 bytes', () => {
    const longest = `/${'ä'.repeat(53)}`
    for (const socketPath of ['/run/registry/registry.sock', '/run/with space:colon', longest]) {
      const { upstream } = parseConfig({ env: { SIDECAR_UPSTREAM: `unix:${socketPath}` } })
      expect(upstream).toEqual({ socketPath })
      expect(addressText(upstream)).toBe(`unix:${socketPath}`)
    }
  })

  it('count as unset when empty, as compose passes them', () => {
    expect(parseConfig({ env: { SIDECAR_UPSTREAM: '', SIDECAR_HOSTS: '' } }).upstream).toEqual({
      hostname: '127.0.0.1',
      port: 5000,
    })
  })

  it('are all reported at once', () => {
    const problems = problemsOf(
      { SIDECAR_UPSTREAM: 'x', SIDECAR_IDLE_TIMEOUT: '5', SIDECAR_HOST: 'a' },
      { realm: ' ' },
    )
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([
      'SIDECAR_HOST',
      'SIDECAR_UPSTREAM',
      '--realm',
      'SIDECAR_IDLE_TIMEOUT',
    ])
  })

  it.each<[what: string, variable: string, text: string, hint: RegExp]>([
    ['a bare number', 'SIDECAR_IDLE_TIMEOUT', '300', /unit/],
    ['a negative duration', 'SIDECAR_DRAIN_TIMEOUT', '-1s', /unit/],
    ['a duration of zero', 'SIDECAR_RESPONSE_TIMEOUT', '0s', /greater than 0/],
    ['a duration longer than a timer can wait', 'SIDECAR_AUTH_CACHE', '30d', /at most 24d/],
    ['a drain delay without unit', 'SIDECAR_DRAIN_DELAY', '0', /unit/],
    ['an HSTS age without unit', 'SIDECAR_HSTS', '31536000', /unit/],
    ['an HSTS age below a second', 'SIDECAR_HSTS', '10ms', /at least 1s/],
    [
      'a throttle that is not a rate',
      'SIDECAR_THROTTLE',
      'on',
      /write failures per duration, as in 20\/1m, or off/,
    ],
    ['a throttle without its duration', 'SIDECAR_THROTTLE', '20', /as in 20\/1m/],
    ['a throttle without its unit', 'SIDECAR_THROTTLE', '20/60', /as in 20\/1m/],
    ['a throttle of zero failures', 'SIDECAR_THROTTLE', '0/1m', /as in 20\/1m/],
    ['a throttle of zero seconds', 'SIDECAR_THROTTLE', '20/0s', /as in 20\/1m/],
    ['a throttle with a second duration', 'SIDECAR_THROTTLE', '20/1m/1m', /as in 20\/1m/],
    ['a bare size', 'SIDECAR_SPLICE_MEMORY', '64', /unit/],
    ['an upstream without scheme', 'SIDECAR_UPSTREAM', 'registry:5000', /http:\/\//],
    [
      'a socket with a relative path',
      'SIDECAR_UPSTREAM',
      'unix:registry.sock',
      /absolute path, as in unix:\//,
    ],
    ['a socket without a path', 'SIDECAR_UPSTREAM', 'unix:', /absolute path/],
    ['an abstract socket', 'SIDECAR_UPSTREAM', 'unix:@registry', /absolute path/],
    ['a socket with a NUL', 'SIDECAR_UPSTREAM', 'unix:/run/a\0b', /NUL/],
    [
      'a socket with a path of 108 bytes',
      'SIDECAR_UPSTREAM',
      `unix:/${'ä'.repeat(53)}b`,
      /108 bytes.*at most 107/,
    ],
    ['an upstream over TLS', 'SIDECAR_UPSTREAM', 'https://registry', /plain http/],
    ['an upstream with a path', 'SIDECAR_UPSTREAM', 'http://registry/v2/', /nothing after/],
    ['an upstream with a password', 'SIDECAR_UPSTREAM', 'http://a:b@registry', /no user name/],
    ['a listen address without port', 'SIDECAR_LISTEN', '0.0.0.0', /host:port/],
    ['a bare port', 'SIDECAR_LISTEN', '8443', /:8443/],
    ['a port that is too high', 'SIDECAR_LISTEN', ':70000', /65535/],
    ['off for an address that is required', 'SIDECAR_LISTEN', 'off', /host:port/],
    ['a host with its port', 'SIDECAR_HOSTS', 'proxy:443', /only the name/],
    ['a host with its scheme', 'SIDECAR_HOSTS', 'https://proxy', /give only the name: `proxy`/],
    ['an IPv6 host with its port', 'SIDECAR_HOSTS', '[::1]:443', /give only the name: `\[::1\]`/],
    ['an invalid host', 'SIDECAR_HOSTS', 'a, b c', /host name/],
    ['neither true nor false', 'SIDECAR_CA_CONSTRAIN', 'yes', /not one of true, false/],
    ['true in capitals', 'SIDECAR_CA_CONSTRAIN', 'TRUE', /not one of true, false/],
    ['an empty realm', 'SIDECAR_REALM', ' ', /empty/],
    ['a realm with a control character', 'SIDECAR_REALM', 'a\r\nX: y', /ASCII/],
    [
      'an unknown way to use client certificates',
      'SIDECAR_TLS_CLIENT_AUTH',
      'none',
      /require, instead, optional/,
    ],
    ['an unknown field for the username', 'SIDECAR_TLS_CLIENT_NAME', 'dn', /write cn, email, dns or uri/],
    ['an unknown log level', 'SIDECAR_LOG_LEVEL', 'trace', /debug, info, warn, error/],
    ['an unknown log format', 'SIDECAR_LOG_FORMAT', 'xml', /json, pretty/],
    ['a misspelt variable', 'SIDECAR_UPSTREM', 'http://x', /no such setting/],
    ['a variable that Kubernetes injects', 'SIDECAR_SERVICE_HOST', '10.0.0.1', /enableServiceLinks/],
  ])('refuse %s and name the fix', (_what, variable, text, hint) => {
    const [problem, ...others] = problemsOf({ SIDECAR_TLS_CLIENT_CA: 'ca.pem', [variable]: text })
    expect(others).toEqual([])
    expect(problem).toMatch(new RegExp(`^${variable}: `))
    expect(problem).toMatch(hint)
  })

  it.each([
    ['500ms', 500],
    ['1.5s', 1_500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
  ])('read %s as %i milliseconds', (text, milliseconds) => {
    expect(parseConfig({ env: { SIDECAR_IDLE_TIMEOUT: text } }).idleTimeout).toBe(milliseconds)
  })

  it('read ages longer than a timer can wait, in seconds', () => {
    expect(parseConfig({ env: { SIDECAR_HSTS: '365d' } }).hsts).toBe(31_536_000)
    expect(parseConfig({ env: { SIDECAR_HSTS: 'off' } }).hsts).toBe('off')
  })

  it('read true and false', () => {
    expect(parseConfig({ env: { SIDECAR_CA_CONSTRAIN: 'true' } }).caConstrain).toBe(true)
    expect(parseConfig({ env: { SIDECAR_CA_CONSTRAIN: 'false' } }).caConstrain).toBe(false)
  })

  it('read a throttle, also off', () => {
    expect(parseConfig({ env: { SIDECAR_THROTTLE: '5/1.5s' } }).throttle).toEqual({
      failures: 5,
      windowMs: 1_500,
    })
    expect(parseConfig({ env: { SIDECAR_THROTTLE: 'off' } }).throttle).toBe('off')
  })

  it.each<
    [what: string, env: Record<string, string>, flags: Record<string, string>, variable: string, hint: RegExp]
  >([
    [
      'a certificate without its key',
      { SIDECAR_TLS_CERT: 'a.crt' },
      {},
      'SIDECAR_TLS_CERT',
      /set SIDECAR_TLS_KEY/,
    ],
    [
      'a key without its certificate',
      { SIDECAR_TLS_KEY: 'a.key' },
      {},
      'SIDECAR_TLS_KEY',
      /set SIDECAR_TLS_CERT/,
    ],
    ['one of the two as a flag', {}, { tlsKey: 'a.key' }, 'SIDECAR_TLS_KEY', /set SIDECAR_TLS_CERT/],
    [
      'one of the two empty',
      { SIDECAR_TLS_CERT: 'a.crt', SIDECAR_TLS_KEY: '' },
      {},
      'SIDECAR_TLS_CERT',
      /SIDECAR_TLS_KEY/,
    ],
    [
      'a password of no key',
      { SIDECAR_TLS_KEY_PASSWORD_FILE: 'p' },
      {},
      'SIDECAR_TLS_KEY_PASSWORD_FILE',
      /set SIDECAR_TLS_CERT and SIDECAR_TLS_KEY too/,
    ],
    [
      'the PROXY protocol without its proxies',
      { SIDECAR_PROXY_PROTOCOL: 'on' },
      {},
      'SIDECAR_PROXY_PROTOCOL',
      /set SIDECAR_TRUSTED_PROXIES too/,
    ],
    [
      'how to use client certificates without their CA',
      { SIDECAR_TLS_CLIENT_AUTH: 'require' },
      {},
      'SIDECAR_TLS_CLIENT_AUTH',
      /set SIDECAR_TLS_CLIENT_CA too/,
    ],
    [
      'the place of a user name without their CA',
      {},
      { tlsClientName: 'email:*@example.org' },
      'SIDECAR_TLS_CLIENT_NAME',
      /set SIDECAR_TLS_CLIENT_CA too/,
    ],
  ])('refuse %s together with all other problems', (_what, env, flags, variable, hint) => {
    const [other, problem, ...more] = problemsOf({ ...env, SIDECAR_REALM: ' ' }, flags)
    expect(more).toEqual([])
    expect(other).toMatch(/^SIDECAR_REALM: /)
    expect(problem).toMatch(new RegExp(`^${variable}: `))
    expect(problem).toMatch(hint)
  })

  it("accept the operator's certificate and key, one as variable, one as flag", () => {
    const env = { SIDECAR_TLS_CERT: 'a.crt', SIDECAR_TLS_KEY_PASSWORD_FILE: 'a.password' }
    expect(parseConfig({ env, flags: { tlsKey: 'a.key' } })).toMatchObject({
      tlsCert: 'a.crt',
      tlsKey: 'a.key',
      tlsKeyPasswordFile: 'a.password',
    })
  })

  it.each([
    ['off', 'off'],
    ['stdout', 'stdout'],
    ['/var/log/audit.log', { file: '/var/log/audit.log' }],
  ])('read where the audit stream goes: %s', (text, audit) => {
    expect(parseConfig({ env: { SIDECAR_AUDIT: text } }).audit).toEqual(audit)
  })

  it.each(['/dev/stdout', '/proc/self/fd/1'])('refuse %s as a file of the audit stream', (text) => {
    expect(() => parseConfig({ env: { SIDECAR_AUDIT: text } })).toThrow(
      `SIDECAR_AUDIT: write stdout instead of "${text}"`,
    )
  })

  it('refuse one folder as state folder and as shared root', () => {
    expect(() => parseConfig({ env: { SIDECAR_ROOT_DIR: `${process.cwd()}/state/` } })).toThrow(
      'SIDECAR_ROOT_DIR: choose another folder than SIDECAR_STATE_DIR',
    )
    const env = { SIDECAR_ROOT_DIR: 'shared', SIDECAR_STATE_DIR: '/state' }
    expect(parseConfig({ env })).toMatchObject({ rootDir: 'shared', stateDir: '/state' })
  })

  it('read the field of a client certificate that names the user', () => {
    const env = { SIDECAR_TLS_CLIENT_CA: 'ca.pem', SIDECAR_TLS_CLIENT_NAME: 'email:*@example.org' }
    expect(parseConfig({ env })).toMatchObject({
      tlsClientAuth: 'require',
      tlsClientName: { kind: 'email', pattern: { before: '', after: '@example.org' } },
    })
  })

  it('have the same value as variable and as flag', () => {
    expect(settingNames().map((name) => [variableOf(name), flagOf(name)])).toContainEqual([
      'SIDECAR_ADMIN_LISTEN',
      '--admin-listen',
    ])
  })

  it('accept IPv6 addresses, wildcards and IDNs as hosts', () => {
    const { hosts } = parseConfig({
      env: { SIDECAR_HOSTS: 'Proxy, *.lab.example ,[2001:DB8:0::1],10.0.0.1,bücher.example,PROXY.,' },
    })
    expect(hosts.map(({ value }) => value)).toEqual([
      'proxy',
      '*.lab.example',
      '2001:db8::1',
      '10.0.0.1',
      'xn--bcher-kva.example',
      'proxy',
    ])
  })

  it('refuse all invalid hosts at once, each with its fix', () => {
    const [problem, ...others] = problemsOf({
      SIDECAR_HOSTS: 'proxy,tcp://a:443,10.0.0.0/8,b c,fe80::1%eth0',
    })
    expect(others).toEqual([])
    for (const hint of ['`a`, not', '`10.0.0.0`, not', '`b c` is not a host name', 'zone id']) {
      expect(problem).toContain(hint)
    }
  })
})
