// Starts peers and checks that each one authenticates.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import { statusOf } from './curl.ts'
import type { PeerNote } from './report.ts'
import type { Environment } from './environment.ts'
import { originOf, type Peer, type Started, type Subject } from './subject.ts'

export interface Registry {
  readonly pid: number
  readonly port: number
}

export interface Running {
  readonly subject: Subject
  readonly note: PeerNote
  readonly child: ChildProcess
  /** From the start of the process to its first answer. */
  readonly startMs: number
}

/** Rejects if a peer does not start, refuses the user, or accepts a wrong password without a note. */
export async function startSubject(
  peer: Peer,
  environment: Environment,
  registry: Registry,
): Promise<Running> {
  const { name, program } = peer
  if (program === undefined) throw new Error(`no program found for ${name}`)
  const began = performance.now()
  const started = await peer.start(program, environment, registry.port)
  const subject: Subject = {
    name,
    pid: pidOf(started),
    port: started.port,
    isGuarded: true,
    registryPid: peer.name === 'registry' ? undefined : registry.pid,
  }
  await firstAnswer(subject, environment)
  const startMs = performance.now() - began
  await checkLogin(subject, environment, started)
  const about = started.note === undefined ? peer.about : `${peer.about}; ${started.note}`
  return {
    subject,
    note: { name, version: await peer.version(program), about },
    child: started.child,
    startMs,
  }
}

async function firstAnswer(subject: Subject, { identity }: Environment): Promise<void> {
  const request = https.get(`${originOf(subject)}/v2/`, { ca: readFileSync(identity.root), agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
}

export function pidOf({ child }: Started): number {
  if (child.pid === undefined) throw new Error('the program did not start')
  return child.pid
}

async function checkLogin(subject: Subject, environment: Environment, { note }: Started): Promise<void> {
  const rightStatus = await statusOf(environment, subject)
  const intruder = { ...environment, user: { ...environment.user, password: 'wrong' } }
  const wrongStatus = await statusOf(intruder, subject)
  const isKnownOpen = note !== undefined && wrongStatus === 200
  if (rightStatus !== 200 || (wrongStatus !== 401 && !isKnownOpen))
    throw new Error(
      `${subject.name} answers the user with ${rightStatus} and a wrong password with ${wrongStatus}`,
    )
}
