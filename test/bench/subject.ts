// A peer as it runs in this benchmark, and as a client reaches it.

import type { ChildProcess } from 'node:child_process'
import type { Stage } from './stage.ts'

export interface Endpoint {
  readonly port: number
  /** Whether it speaks TLS and asks for the user. */
  readonly isGuarded: boolean
}

export interface Subject extends Endpoint {
  readonly name: string
  readonly pid: number
  /** The registry that the subject forwards to; undefined where the subject is one. */
  readonly registryPid: number | undefined
}

/** A peer that could be started on this machine. */
export interface Peer {
  readonly name: string
  /** How it is configured, in one line for the reader of the table. */
  readonly about: string
  /** The program's path; undefined when there is none on the PATH. */
  readonly program: string | undefined
  version(program: string): Promise<string>
  start(program: string, stage: Stage, registryPort: number): Promise<Started>
}

export interface Started {
  readonly child: ChildProcess
  readonly port: number
  /** What the reader must know beside `about`, found out while starting. */
  readonly note?: string
}

export function originOf({ port, isGuarded }: Endpoint): string {
  return `${isGuarded ? 'https' : 'http'}://127.0.0.1:${port}`
}

export function authorizationOf({ user }: Stage): string {
  return `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`
}
