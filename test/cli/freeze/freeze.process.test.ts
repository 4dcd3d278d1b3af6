// Runs `freeze` and `thaw` as processes beside running sidecars.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { runHere } from '../../fixtures/command.ts'
import { portOf, run, start, type Running } from '../../fixtures/process.ts'
import { answering, OK, upstreamForTest } from '../../fixtures/programmable-upstream.ts'
import { ALICE, ALICE_ENTRY, sidecarForTest } from '../../fixtures/sidecar.ts'
import { isFrozen } from '../../fixtures/freeze-scene.ts'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { until } from '../../fixtures/until.ts'

const SOON_MS = 15_000

interface State {
  readonly state: string
  readonly until?: string
}

async function setScene({ onTestFinished: onFinished }: TestContext) {
  const upstream = await upstreamForTest(answering(OK), onFinished)
  const sidecar = await sidecarForTest({ upstreamPort: upstream.port }, onFinished)
  const stateDir = path.join(sidecar.folder, 'state')
  const env = { SIDECAR_STATE_DIR: stateDir, SIDECAR_UPSTREAM: `http://127.0.0.1:${upstream.port}` }
  const cli = (...args: string[]) => runHere(args, { env })
  // Its program writes to the output of the process.
  const cliProcess = (...args: string[]) => run(args, { env, onFinished })
  const stateOf = () => JSON.parse(readFileSync(path.join(stateDir, 'freeze.json'), 'utf8')) as State
  const becomesFrozen = () => until(() => isFrozen(sidecar), { deadlineMs: SOON_MS, what: 'frozen' })
  const push = () => sidecar.request({ as: ALICE, method: 'PUT', path: '/v2/app/manifests/v1' })
  return { sidecar, stateDir, env, cli, cliProcess, stateOf, becomesFrozen, push }
}

// Concurrent, because a freeze waits for 2 s.
describe.concurrent('freeze', () => {
  it('holds pushes until thaw', async (context) => {
    const { sidecar, cli, stateOf } = await setScene(context)
    const { code, stdout, stderr } = await cli('freeze', '--for', '1h')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^frozen until \S+Z: no push runs, and new pushes wait\n$/)
    expect(await isFrozen(sidecar)).toBe(true)
    expect(Date.parse(stateOf().until ?? '')).toBeGreaterThan(Date.now() + 3_500_000)
    // A second freeze replaces the first.
    expect(JSON.parse((await cli('freeze', '--for', '2h', '--json')).stdout)).toMatchObject({
      action: 'frozen',
      sidecars: 1,
      pushes: 0,
    })
    expect(await cli('thaw')).toMatchObject({ code: 0, stdout: 'thawed: pushes go on\n', stderr: '' })
    await until(async () => !(await isFrozen(sidecar)), { deadlineMs: SOON_MS, what: 'thawed' })
    expect(await cli('thaw')).toMatchObject({ code: 0, stdout: 'nothing was frozen\n' })
  })

  it('returns when --wait is over, and warns that a push still runs', async (context) => {
    const { cli, push } = await setScene(context)
    await push()
    const { code, stdout, stderr } = await cli('freeze', '--wait', '1s')
    expect(code).toBe(0)
    expect(stdout).toMatch(/: new pushes wait; pushes that still run: 1\n$/)
    expect(stderr).toMatch(/^registry-sidecar: --wait is over, and pushes still run \(1\); /)
  })

  it('runs a program while writes are held, also those of running pushes, and thaws', async (context) => {
    const { sidecar, stateDir, cliProcess, push, stateOf } = await setScene(context)
    await push()
    const seen = path.join(stateDir, 'seen.json')
    const copy = ['/bin/sh', '-c', `echo "to stdout $0"; cp freeze.json ${seen}`, 'one word']
    const { code, stdout } = await cliProcess(
      'freeze',
      '--wait',
      '1s',
      '--',
      '/bin/sh',
      '-c',
      `cd ${stateDir}; exec "$@"`,
      'sh',
      ...copy,
    )
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'to stdout one word\nthawed: pushes go on\n' })
    expect(JSON.parse(readFileSync(seen, 'utf8'))).toMatchObject({
      state: 'frozen',
      holds: 'all',
      runsProgram: true,
    })
    expect(stateOf()).toMatchObject({ state: 'thawed' })
    await until(async () => !(await isFrozen(sidecar)), { deadlineMs: SOON_MS, what: 'thawed' })
  })

  it('thaws and fails if the program fails or does not exist', async (context) => {
    const { cliProcess, stateOf } = await setScene(context)
    expect(await cliProcess('freeze', '--', '/bin/sh', '-c', 'exit 7')).toMatchObject({
      code: 1,
      stderr: 'registry-sidecar: /bin/sh failed with exit code 7; thawed\n',
    })
    const { code, stdout, stderr } = await cliProcess('freeze', '--json', '--', 'no-such-program')
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'registry-sidecar: no-such-program cannot be started: no such program; thawed\n',
    })
    expect(JSON.parse(stdout)).toMatchObject({ action: 'thawed', problems: [expect.any(String)] })
    expect(stateOf()).toMatchObject({ state: 'thawed' })
  })

  it('waits after the program until the registry answers', async (context) => {
    const { env, becomesFrozen, stateOf } = await setScene(context)
    const registry = { answer: 'HTTP/1.1 503 Restarting\r\nContent-Length: 0\r\n\r\n', asked: 0 }
    const restarting = await upstreamForTest((soFar, socket) => {
      registry.asked += 1
      answering(registry.answer)(soFar, socket, 0)
    }, context.onTestFinished)
    const freeze = start(['freeze', '--', 'echo', 'collected'], {
      env: { ...env, SIDECAR_UPSTREAM: `http://127.0.0.1:${restarting.port}` },
      onFinished: context.onTestFinished,
    })
    await becomesFrozen()
    await freeze.line(/collected/)
    await until(() => registry.asked > 2, { deadlineMs: SOON_MS, what: 'questions' })
    expect(stateOf()).toMatchObject({ state: 'frozen' })
    registry.answer = OK
    expect(await freeze.finished).toMatchObject({ code: 0, stderr: '' })
    expect(stateOf()).toMatchObject({ state: 'thawed' })
  })

  it.for(['SIGINT', 'SIGTERM'] as const)(
    'passes %s to the program, and thaws when it has ended',
    async (signal, context) => {
      const { env, becomesFrozen, stateOf } = await setScene(context)
      const program = `trap 'echo ending; exit 3' INT TERM; echo started; while :; do sleep 0.1; done`
      const freeze = start(['freeze', '--', '/bin/sh', '-c', program], {
        env,
        onFinished: context.onTestFinished,
      })
      await becomesFrozen()
      await freeze.line(/started/)
      freeze.child.kill(signal)
      const { code, stdout, stderr } = await freeze.finished
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: 'registry-sidecar: /bin/sh failed with exit code 3; thawed\n',
      })
      expect(stdout).toContain('ending')
      expect(stateOf()).toMatchObject({ state: 'thawed' })
    },
  )

  it('thaws if a signal arrives while pushes still run', async (context) => {
    const { env, becomesFrozen, push, stateOf } = await setScene(context)
    await push()
    const freeze = start(['freeze', '--wait', '1m'], { env, onFinished: context.onTestFinished })
    await becomesFrozen()
    freeze.child.kill('SIGINT')
    expect(await freeze.finished).toMatchObject({
      code: 1,
      stderr: 'registry-sidecar: stopped by SIGINT; thawed\n',
    })
    expect(stateOf()).toMatchObject({ state: 'thawed' })
  })

  it('fails if the freeze ends before the program', async (context) => {
    const { cli } = await setScene(context)
    // The program starts after 2 s at the earliest.
    const { code, stderr } = await cli('freeze', '--for', '3s', '--', 'sleep', '2')
    expect(code).toBe(1)
    expect(stderr).toMatch(/the freeze has ended before the program/)
  })

  it('does not replace a freeze in which a program runs', async (context) => {
    const { env, cli, becomesFrozen } = await setScene(context)
    const holder = start(['freeze', '--', '/bin/sh', '-c', 'echo started; sleep 60'], {
      env,
      onFinished: context.onTestFinished,
    })
    await becomesFrozen()
    await holder.line(/started/)
    const { code, stderr } = await cli('freeze')
    expect(code).toBe(1)
    expect(stderr).toMatch(/runs a program in a freeze until .*wait until the program ends/)
  })

  it('says that no sidecar runs, and leaves nothing frozen', async ({ onTestFinished: onFinished }) => {
    const stateDir = tempFolder(onFinished)
    // A sidecar that was killed has left this file.
    const old = path.join(stateDir, 'freeze-0123456789abcdef.json')
    writeFileSync(old, '{"freeze":"x","holds":"all","pushes":1,"waiting":0,"report":1}\n')
    const { code, stderr } = await runHere(['freeze', '--', 'echo', 'never'], {
      env: { SIDECAR_STATE_DIR: stateDir },
    })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^registry-sidecar: no sidecar runs with the state folder /)
    expect(readdirSync(stateDir)).toEqual(['freeze.json'])
    expect(readFileSync(path.join(stateDir, 'freeze.json'), 'utf8')).toContain('"thawed"')
  })

  it('says that the state folder does not exist', async ({ onTestFinished: onFinished }) => {
    const env = { SIDECAR_STATE_DIR: path.join(tempFolder(onFinished), 'nowhere') }
    for (const command of ['freeze', 'thaw'])
      expect(await runHere([command], { env })).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('set SIDECAR_STATE_DIR to the state folder') as string,
      })
  })

  it('lists all wrong durations', async () => {
    expect(await runHere(['freeze', '--for', '30', '--wait', 'long'])).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(/--for: "30" is not a duration.*\n.*--wait: "long"/) as string,
    })
  })
})

it.concurrent(
  'a restart of the sidecar keeps the freeze, and the command waits for every sidecar of the folder',
  async ({ onTestFinished: onFinished }) => {
    const folder = tempFolder(onFinished)
    mkdirSync(path.join(folder, 'users'))
    writeFileSync(path.join(folder, 'users', 'htpasswd'), ALICE_ENTRY)
    const env = { SIDECAR_LISTEN: '127.0.0.1:0', SIDECAR_ADMIN_LISTEN: 'off', SIDECAR_WATCH_POLL: '100ms' }
    const shared = { SIDECAR_STATE_DIR: path.join(folder, 'state') }
    const serve = (): Running => start(['serve'], { cwd: folder, env, onFinished })
    const first = serve()
    await portOf(first)
    const second = await sidecarForTest({ env: shared }, onFinished)
    const { stdout } = await runHere(['freeze', '--json'], { env: shared })
    expect(JSON.parse(stdout)).toMatchObject({ sidecars: 2, pushes: 0 })
    first.child.kill('SIGTERM')
    await Promise.all([first.finished, second.stop()])
    expect(readdirSync(shared.SIDECAR_STATE_DIR).filter((name) => name.startsWith('freeze'))).toEqual([
      'freeze.json',
    ])

    const restarted = serve()
    await portOf(restarted)
    const events = restarted
      .stdout()
      .split('\n')
      .filter((line) => line !== '')
    const names = events.map((line) => (JSON.parse(line) as { event: string }).event)
    expect(names.indexOf('frozen')).toBeGreaterThanOrEqual(0)
    expect(names.indexOf('frozen')).toBeLessThan(names.indexOf('ready'))
  },
)
