import { createHash } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loginOf, usersFileOf } from '../fixtures/access-scene.ts'
import { createClientAuthority } from '../fixtures/client-authority.ts'
import { machinePasswordFor } from '../fixtures/machine-password.ts'
import { registryProgram, startRegistry, type Registry } from '../fixtures/registry.ts'
import { renewedCert } from '../fixtures/renewed-cert.ts'
import { startSidecar, type TestRequest, type TestResponse, type TestSidecar } from '../fixtures/sidecar.ts'
import { makeTempFolder, removeFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

const RULES = `rules:
  - {who: builder, repositories: ["**"], allow: [pull, push, delete]}
  - {who: reader, repositories: ["team/**"], allow: [pull]}
immutable:
  - {repositories: ["team/**"], tags: ["v*"]}
`
const INDEX = 'application/vnd.oci.image.index.v1+json'
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const BUILDER = loginOf('builder')
const people = createClientAuthority()

const manifestOf = (text: string) =>
  JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], annotations: { text } })
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`

describe.skipIf(registryProgram === undefined)('the audit stream', () => {
  let registry: Registry
  let sidecar: TestSidecar
  let folder: string
  let auditFile: string
  const users = usersFileOf(['builder', 'reader'])
  const builderEntry = users.split('\n')[0] ?? ''

  beforeAll(async () => {
    registry = await startRegistry()
    folder = makeTempFolder()
    auditFile = path.join(folder, 'audit.log')
    writeFileSync(path.join(folder, 'access.yaml'), RULES)
    writeFileSync(path.join(folder, 'people.pem'), people.cert)
    sidecar = await startSidecar({
      upstreamPort: registry.port,
      users,
      env: {
        SIDECAR_ACCESS: path.join(folder, 'access.yaml'),
        SIDECAR_AUDIT: auditFile,
        SIDECAR_LOG_LEVEL: 'error',
        SIDECAR_TLS_CLIENT_CA: path.join(folder, 'people.pem'),
        SIDECAR_TLS_CLIENT_AUTH: 'optional',
      },
    })
  })
  afterAll(async () => {
    await sidecar.stop()
    await registry.stop()
    removeFolder(folder)
  })

  const lines = () =>
    readFileSync(auditFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)

  /** Resolves to the lines that this action causes. */
  async function recorded(action: () => unknown, count = 1): Promise<readonly Record<string, unknown>[]> {
    const before = lines().length
    await action()
    await until(() => lines().length >= before + count, { deadlineMs: 5_000, what: 'the audit lines' })
    return lines().slice(before)
  }

  function put(reference: string, body: string, more: Partial<TestRequest> = {}): Promise<TestResponse> {
    const headers = { 'content-type': INDEX, traceparent: TRACE }
    const target = `/v2/team/app/manifests/${reference}`
    return sidecar.request({ as: BUILDER, method: 'PUT', path: target, headers, body, ...more })
  }

  it('is a file that only its owner can read, and says which files were loaded', () => {
    expect(statSync(auditFile).mode & 0o777).toBe(0o600)
    expect(lines()).toMatchObject([
      { stream: 'audit', event: 'file-loaded', outcome: 'done', file: sidecar.usersFile },
      { event: 'file-loaded', outcome: 'done', file: path.join(folder, 'people.pem') },
      { event: 'file-loaded', outcome: 'done', file: path.join(folder, 'access.yaml') },
    ])
  })

  it('records a push of a tag, with the digest that the registry stored', async () => {
    const body = manifestOf('one')
    expect(await recorded(() => put('latest', body))).toEqual([
      {
        stream: 'audit',
        time: expect.stringMatching(/^20\d\d-\d\d-\d\dT.*Z$/) as string,
        event: 'push',
        outcome: 'done',
        repository: 'team/app',
        tag: 'latest',
        digest: digestOf(body),
        user: 'builder',
        how: 'password',
        address: '127.0.0.1',
        id: expect.stringMatching(/^\w+-\w+$/) as string,
        status: 201,
        traceparent: TRACE,
      },
    ])
  })

  it('records a push by digest, a push that the registry refuses, and deletions', async () => {
    const body = manifestOf('two')
    const digest = digestOf(body)
    const target = `/v2/team/app/manifests/${digest}`
    expect(await recorded(() => put(digest, body))).toMatchObject([
      { event: 'push', outcome: 'done', digest },
    ])
    expect(await recorded(() => put('bad', 'no manifest'))).toMatchObject([
      { event: 'push', outcome: 'refused', tag: 'bad', status: 400 },
    ])
    const remove = () => sidecar.request({ as: BUILDER, method: 'DELETE', path: target })
    expect(await recorded(remove)).toMatchObject([
      { event: 'delete', outcome: 'done', repository: 'team/app', digest, status: 202 },
    ])
    expect(await recorded(remove)).toMatchObject([{ event: 'delete', outcome: 'refused', status: 404 }])
  })

  it('records what the access rules and immutable tags deny', async () => {
    expect(await recorded(() => put('latest', '{}', { as: loginOf('reader') }))).toMatchObject([
      {
        event: 'denied',
        outcome: 'denied',
        action: 'push',
        user: 'reader',
        repository: 'team/app',
        tag: 'latest',
        status: 403,
        reason: 'no access rule allows it',
      },
    ])
    const catalog = { as: loginOf('reader'), path: '/v2/_catalog' }
    expect(await recorded(() => sidecar.request(catalog))).toMatchObject([
      { event: 'denied', action: 'catalog' },
    ])
    await recorded(() => put('v1', manifestOf('three')))
    const moved = await recorded(() => put('v1', manifestOf('four')))
    expect(moved).toMatchObject([{ event: 'denied', action: 'push', tag: 'v1', status: 403 }])
  })

  it('records how a user logged in: machine password or certificate', async () => {
    const machine = machinePasswordFor(builderEntry, { allow: ['push'] })
    const added = await recorded(() => {
      sidecar.writeUsers(users + machine.line)
    }, 2)
    expect(added).toMatchObject([
      { event: 'machine-password-added', user: 'builder', machinePassword: machine.id },
      { event: 'file-loaded', outcome: 'done', file: sidecar.usersFile },
    ])
    const login = `builder:${machine.secret}`
    expect(await recorded(() => put('m', manifestOf('five'), { as: login }))).toMatchObject([
      { event: 'push', user: 'builder', how: 'machine-password', machinePassword: machine.id },
    ])
    const { cert, key } = people.issue({ subject: 'builder' })
    const target = '/v2/team/app/manifests/c'
    const request = { method: 'PUT', path: target, headers: { 'content-type': INDEX }, cert, key }
    expect(await recorded(() => sidecar.request({ ...request, body: manifestOf('six') }))).toMatchObject([
      { event: 'push', user: 'builder', how: 'certificate', clientCertificate: 'builder' },
    ])
  })

  it('records changes of users, unusable files, reloads and renewals', async () => {
    const changed = await recorded(() => {
      sidecar.writeUsers(usersFileOf(['builder', 'newcomer']))
    }, 5)
    expect(changed.map(({ event, user }) => [event, user])).toEqual([
      ['user-changed', 'builder'],
      ['user-added', 'newcomer'],
      ['user-removed', 'reader'],
      ['machine-password-removed', 'builder'],
      ['file-loaded', undefined],
    ])
    const broken = await recorded(() => {
      writeFileSync(path.join(folder, 'access.yaml'), 'rules: 1')
    })
    expect(broken).toMatchObject([
      { event: 'file-loaded', outcome: 'failed', file: path.join(folder, 'access.yaml') },
    ])
    const stateDir = path.join(sidecar.folder, 'state')
    expect(await recorded(() => renewedCert(stateDir))).toMatchObject([
      { event: 'certificate-renewed', outcome: 'done', fingerprint: expect.any(String) as string },
    ])
  })

  it('records no pull, no upload of a blob and no refused login', async () => {
    const before = lines().length
    await sidecar.request({ as: loginOf('builder'), path: '/v2/team/app/manifests/latest' })
    const upload = { method: 'POST', path: '/v2/team/app/blobs/uploads/' }
    const { headers } = await sidecar.request({ as: loginOf('builder'), ...upload })
    const location = new URL(headers.location ?? '', 'https://localhost')
    const cancelled = `${location.pathname}${location.search}`
    await sidecar.request({ as: loginOf('builder'), method: 'DELETE', path: cancelled })
    await sidecar.request({ as: 'builder:wrong', method: 'PUT', path: '/v2/team/app/manifests/x' })
    await recorded(() =>
      sidecar.request({ as: loginOf('builder'), method: 'DELETE', path: '/v2/a/manifests/b' }),
    )
    expect(lines().slice(before)).toMatchObject([{ event: 'delete', repository: 'a', tag: 'b' }])
  })
})
