// Measures how a flood of wrong passwords affects other users.
//
//   npm run bench:flood -- [options]        `--help` lists them; needs htpasswd on the PATH

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { findProgram } from '../fixtures/find-program.ts'
import { runChild } from './children.ts'
import { runProgram, say } from './run-program.ts'
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
import { createEnvironment, type Environment } from './environment.ts'
import { pidOf } from './subjects.ts'

const COST = 10
const BLOB_MIB = 1
const USER_ADDRESS = '127.0.0.1'
const ATTACKER_ADDRESS = '127.0.0.2'
const NEWCOMER_ADDRESS = '127.0.0.3'

/** First logins in each phase; one starts every second. */
const LOGINS = 10

/** The flood starts this long before the measurement. */
const FLOOD_LEAD_SECONDS = 3

/** The flood ends this long after the last newcomer, because clients need time to start. */
const FLOOD_TAIL_SECONDS = 6

// A real attacker has its own processor. Here the attacker uses only what the other processes leave.
const ATTACKER_NICENESS = 10

await runProgram(USAGE, (args) => main(parseOptions(args)))

async function main(options: Options): Promise<void> {
  const environment = createEnvironment(BLOB_MIB)
  const newcomers = await addUsers(environment, 2 * LOGINS)
  const probe = createEventLoopProbe(environment.folder)
  const sidecar = await sidecarOn('sidecar', options.node, probe.nodeArgs).start(
    options.node,
    environment,
    await startUpstream(environment),
  )
  const scene: Scene = { environment, options, probe, port: sidecar.port, pid: pidOf(sidecar) }
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
  readonly environment: Environment
  readonly options: Options
  readonly probe: EventLoopProbe
  readonly port: number
  readonly pid: number
}

/** Writes the file with htpasswd: one remembered user, and `count` users who log in once. */
async function addUsers({ user, usersFile }: Environment, count: number): Promise<readonly Login[]> {
  const htpasswd = findProgram('htpasswd')
  if (htpasswd === undefined) throw new Error('no htpasswd on the PATH')
  const newcomers = Array.from({ length: count }, (_, i) => ({
    name: `newcomer-${i}`,
    password: randomBytes(12).toString('hex'),
  }))
  say(`${count + 1} users at cost ${COST}`)
  for (const { name, password } of [user, ...newcomers])
    await runChild([htpasswd, '-bBC', String(COST), usersFile, name, password])
  return newcomers
}

/** Starts the real registry, or else a server that answers every request. */
async function startUpstream(environment: Environment): Promise<number> {
  if (registryProgram !== undefined) return (await startBareRegistry(registryProgram, environment)).port
  const server = createServer((_request, response) => response.end('{}'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Measures the remembered user first, then the newcomers, so that only the flood differs between phases. */
async function measure(
  { environment, options, probe, port, pid }: Scene,
  logins: readonly Login[],
): Promise<Phase> {
  const { name, password } = environment.user
  const route = { port, ca: readFileSync(environment.identity.root, 'utf8') }
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

function attack({ environment, options, port }: Scene): Promise<AttackerReport> {
  const task: AttackerTask = {
    port,
    ca: readFileSync(environment.identity.root, 'utf8'),
    localAddress: ATTACKER_ADDRESS,
    connections: options.connections,
    seconds: FLOOD_LEAD_SECONDS + options.seconds + LOGINS + FLOOD_TAIL_SECONDS,
    usernames: [environment.user.name, 'nobody'],
  }
  return runClient('attacker', task, ATTACKER_NICENESS)
}

async function machineHere() {
  return describeMachine(registryProgram === undefined ? 'none' : await registryVersion(registryProgram))
}
