// What a flood of wrong passwords from one address does to everybody else.
//
//   npm run bench:flood -- [options]        `--help` lists them; needs htpasswd on the PATH

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { findProgram } from '../fixtures/real.ts'
import { runChild } from './children.ts'
import { live, say } from './life.ts'
import type { AttackerReport, AttackerTask } from './flood/attacker.ts'
import type { CachedUserReport, CachedUserTask } from './flood/cached-user.ts'
import { createEventLoopProbe, type EventLoopProbe } from './flood/event-loop-delay.ts'
import { logInOneByOne, type Login } from './flood/fresh-logins.ts'
import { parseOptions, USAGE, type Options } from './flood/options.ts'
import { runClient } from './flood/processes.ts'
import { formatJson, formatTable, type Phase } from './flood/report.ts'
import { describeMachine } from './machine.ts'
import { registryProgram, registryVersion, startBareRegistry } from './peers/registry.ts'
import { sidecarOn } from './peers/sidecar.ts'
import { createStage, type Stage } from './stage.ts'
import { pidOf } from './subjects.ts'

const COST = 10
const BLOB_MIB = 1
const USER_ADDRESS = '127.0.0.1'
const ATTACKER_ADDRESS = '127.0.0.2'
const NEWCOMER_ADDRESS = '127.0.0.3'

/** Newcomers in each phase; one comes every second. */
const LOGINS = 10

/** The flood begins this long before anything is measured under it. */
const FLOOD_LEAD_SECONDS = 3

/** It ends this much later than the last newcomer comes; clients take a while to start, too. */
const FLOOD_TAIL_SECONDS = 6

// A real attacker has a processor of his own. Here he shall have what the others leave.
const ATTACKER_NICENESS = 10

await live(USAGE, (args) => main(parseOptions(args)))

async function main(options: Options): Promise<void> {
  const stage = createStage(BLOB_MIB)
  const newcomers = await addUsers(stage, 2 * LOGINS)
  const probe = createEventLoopProbe(stage.folder)
  const sidecar = await sidecarOn('sidecar', options.node, probe.nodeArgs).start(
    options.node,
    stage,
    await startUpstream(stage),
  )
  const scene: Scene = { stage, options, probe, port: sidecar.port, pid: pidOf(sidecar) }
  say(`quiet: ${options.seconds} s`)
  const quiet = await measure(scene, newcomers.slice(0, LOGINS))
  say(`flood: ${options.seconds} s`)
  const attacking = attack(scene)
  await pause(FLOOD_LEAD_SECONDS * 1000)
  const flood = await measure(scene, newcomers.slice(LOGINS))
  const run = { options, machine: await machineHere(), quiet, flood, attack: await attacking }
  console.log(options.json ? formatJson(run) : formatTable(run))
}

interface Scene {
  readonly stage: Stage
  readonly options: Options
  readonly probe: EventLoopProbe
  readonly port: number
  readonly pid: number
}

/** Real htpasswd writes the file: the user who is remembered, and as many who log in only once. */
async function addUsers({ user, usersFile }: Stage, count: number): Promise<readonly Login[]> {
  const htpasswd = findProgram('htpasswd')
  if (htpasswd === undefined) throw new Error('there is no htpasswd on the PATH')
  const newcomers = Array.from({ length: count }, (_, i) => ({
    name: `newcomer-${i}`,
    password: randomBytes(12).toString('hex'),
  }))
  say(`${count + 1} users at cost ${COST}`)
  for (const { name, password } of [user, ...newcomers])
    await runChild([htpasswd, '-bBC', String(COST), usersFile, name, password])
  return newcomers
}

/** The real registry, or where there is none something that answers every request. */
async function startUpstream(stage: Stage): Promise<number> {
  if (registryProgram !== undefined) return (await startBareRegistry(registryProgram, stage)).port
  const server = createServer((_request, response) => response.end('{}'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** The user who is remembered, then the newcomers: each alone, so that the flood is all that differs. */
async function measure(
  { stage, options, probe, port, pid }: Scene,
  logins: readonly Login[],
): Promise<Phase> {
  const { name, password } = stage.user
  const route = { port, ca: readFileSync(stage.identity.root, 'utf8') }
  const task: CachedUserTask = {
    ...route,
    localAddress: USER_ADDRESS,
    name,
    password,
    seconds: options.seconds,
  }
  await probe.read(pid)
  const { times } = await runClient<CachedUserReport>('cached-user', task)
  const fresh = await logInOneByOne({ ...route, localAddress: NEWCOMER_ADDRESS }, logins)
  return { cached: times, fresh, eventLoop: await probe.read(pid) }
}

function attack({ stage, options, port }: Scene): Promise<AttackerReport> {
  const task: AttackerTask = {
    port,
    ca: readFileSync(stage.identity.root, 'utf8'),
    localAddress: ATTACKER_ADDRESS,
    connections: options.connections,
    seconds: FLOOD_LEAD_SECONDS + options.seconds + LOGINS + FLOOD_TAIL_SECONDS,
    usernames: [stage.user.name, 'nobody'],
  }
  return runClient('attacker', task, ATTACKER_NICENESS)
}

async function machineHere() {
  return describeMachine(registryProgram === undefined ? 'none' : await registryVersion(registryProgram))
}
