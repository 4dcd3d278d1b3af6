// Starts what is to be measured, and looks whether each does what it is there for.

import { statusOf } from './curl.ts'
import type { PeerNote } from './report.ts'
import type { Stage } from './stage.ts'
import type { Peer, Started, Subject } from './subject.ts'

export interface Registry {
  readonly pid: number
  readonly port: number
}

export interface Running {
  readonly subject: Subject
  readonly note: PeerNote
}

/** Rejects when a peer does not start, refuses the user, or lets a wrong password in without saying so. */
export async function startSubject(peer: Peer, stage: Stage, registry: Registry): Promise<Running> {
  const { name, program } = peer
  if (program === undefined) throw new Error(`there is no program for ${name}`)
  const started = await peer.start(program, stage, registry.port)
  const subject: Subject = {
    name,
    pid: pidOf(started),
    port: started.port,
    isGuarded: true,
    registryPid: peer.name === 'registry' ? undefined : registry.pid,
  }
  await checkLogin(subject, stage, started)
  const about = started.note === undefined ? peer.about : `${peer.about}; ${started.note}`
  return { subject, note: { name, version: await peer.version(program), about } }
}

export function pidOf({ child }: Started): number {
  if (child.pid === undefined) throw new Error('the program did not start')
  return child.pid
}

async function checkLogin(subject: Subject, stage: Stage, { note }: Started): Promise<void> {
  const right = await statusOf(stage, subject)
  const stranger = { ...stage, user: { ...stage.user, password: 'wrong' } }
  const wrong = await statusOf(stranger, subject)
  const isOpenOnPurpose = note !== undefined && wrong === 200
  if (right !== 200 || (wrong !== 401 && !isOpenOnPurpose))
    throw new Error(`${subject.name} answers the user with ${right} and a wrong password with ${wrong}`)
}
