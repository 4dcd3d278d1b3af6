import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { hashSync } from 'bcryptjs'
import { createAuthority } from '../fixtures/own-certificate.ts'
import { answering, OK, upstreamForTest } from '../fixtures/programmable-upstream.ts'
import { registerSecret } from '../fixtures/run-logs.ts'
import { askAdmin } from '../fixtures/scrape.ts'
import { sidecarForTest, type TestSidecar } from '../fixtures/sidecar.ts'
import { watchStatus } from '../fixtures/status-events.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { until } from '../fixtures/until.ts'

// No text of the sidecar contains these.
const PLANTED = ['qplantuser', 'qplantrepo', 'qplanttag', 'qplantagent', 'qplantfile', '127.0.0.1']
const LOGIN = 'qplantuser:secret'
const USERS = `qplantuser:${hashSync('secret', 4)}\n`
const RULES = `rules:
  - {who: qplantuser, repositories: ["qplantrepo/**"], allow: [pull, push, status]}
immutable:
  - {repositories: ["qplantrepo/**"], tags: ["qplanttag*"]}
`

/** Every file has a planted name, and is unusable at the end. */
async function plantedScene(): Promise<TestSidecar> {
  const folder = path.join(tempFolder(), 'qplantfile')
  const upstream = await upstreamForTest(answering(OK))
  mkdirSync(folder)
  const authority = createAuthority()
  const { certPem, keyPem } = authority.issue()
  const files = { access: RULES, cert: `${certPem}${authority.rootPem}`, key: keyPem }
  const names = Object.entries(files).map(([name, text]) => {
    const file = path.join(folder, name)
    writeFileSync(file, text)
    return [name, file] as const
  })
  const { access, cert, key } = Object.fromEntries(names)
  const sidecar = await sidecarForTest({
    upstreamPort: upstream.port,
    users: USERS,
    rootPem: authority.rootPem,
    env: {
      SIDECAR_ACCESS: access ?? '',
      SIDECAR_TLS_CERT: cert ?? '',
      SIDECAR_TLS_KEY: key ?? '',
      SIDECAR_STATE_DIR: path.join(folder, 'state'),
      SIDECAR_MAX_TRANSFERS_PER_USER: '1',
    },
  })
  await act(sidecar)
  writeFileSync(access ?? '', 'rules: qplantuser')
  writeFileSync(key ?? '', 'nonsense')
  rmSync(sidecar.usersFile)
  await sidecar.reload().catch(() => undefined)
  await until(() => sidecar.users.state.kind === 'stale', { deadlineMs: 5_000, what: 'the removal is seen' })
  return sidecar
}

async function act(sidecar: TestSidecar): Promise<void> {
  const ask = (method: string, target: string, as = LOGIN) =>
    sidecar.request({
      method,
      path: target,
      as,
      headers: { 'user-agent': 'qplantagent' },
      body: method === 'PUT' ? '\r\n\r\n' : '',
    })
  await ask('GET', '/v2/qplantrepo/a/manifests/qplanttag1')
  await ask('PUT', '/v2/qplantrepo/a/manifests/qplanttag1')
  await ask('PUT', '/v2/qplantrepo/a/manifests/other')
  await ask('GET', '/v2/other/qplantrepo/manifests/qplanttag')
  await ask('GET', '/v2/qplantrepo/a/blobs/sha256:0123')
  await ask('GET', '/v2/', 'qplantuser:wrong')
  await ask('GET', '/v2/qplantrepo/qplantfile')
}

function keyOf(folder: string): string {
  const file = path.join(folder, 'status.key')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const key = readFileSync(file, 'utf8').trim()
  registerSecret(key)
  return key
}

it('shows no user, repository, tag, client, address or file on the admin address', async () => {
  const sidecar = await plantedScene()
  const stream = await watchStatus(sidecar)
  await until(() => stream.events.length > 0, { deadlineMs: 5_000, what: 'an event' })
  const paths = ['/', '/status.json', '/readyz', '/metrics']
  const answers = await Promise.all(paths.map((target) => askAdmin(sidecar, target)))
  const shown = [stream.text, ...answers.map(({ text }) => text)]

  const facts = JSON.parse(answers[1]?.text ?? '') as Record<string, unknown[]>
  expect(facts['operations']?.length).toBeGreaterThan(1)
  expect(facts['refusals']?.length).toBeGreaterThan(1)
  expect(facts['changes']?.length).toBeGreaterThan(1)
  expect(facts['parts']).toMatchObject({
    access: { state: 'stale' },
    certificate: { state: 'stale' },
    users: { state: 'stale', reason: 'is missing' },
  })
  for (const text of shown) for (const name of PLANTED) expect(text.toLowerCase()).not.toContain(name)
})

it('shows names to a program with the key of the state folder, and nothing to one with another key', async () => {
  const sidecar = await plantedScene()
  const key = keyOf(path.join(path.dirname(sidecar.certificate.root?.file ?? ''), 'state'))
  const ask = (target: string, authorization: string) => askAdmin(sidecar, target, { authorization })
  for (const target of ['/', '/status.json']) {
    const { status, text } = await ask(target, `Bearer ${key}`)
    expect(status).toBe(200)
    for (const name of PLANTED) expect(text.toLowerCase()).toContain(name)
    const wrong = await ask(target, `Bearer ${key}x`)
    expect([wrong.status, wrong.headers['www-authenticate']]).toEqual([401, 'Bearer'])
  }
  expect((await ask('/events', 'Bearer x')).status).toBe(401)
  // A browser may send a Basic login of another service of this host.
  const basic = await ask('/status.json', `Basic ${Buffer.from(LOGIN).toString('base64')}`)
  expect(basic.status).toBe(200)
  expect(basic.text).not.toContain('qplantuser')
})
