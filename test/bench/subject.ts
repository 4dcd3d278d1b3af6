// Defines peers and their running processes.

import type { ChildProcess } from 'node:child_process'
import type { Environment } from './environment.ts'

export interface Endpoint {
  readonly port: number
  /** Whether it requires TLS and a login. */
  readonly isGuarded: boolean
}

export interface Subject extends Endpoint {
  readonly name: string
  readonly pid: number
  /** The registry behind the subject; undefined if the subject is a registry. */
  readonly registryPid: number | undefined
}

export interface Peer {
  readonly name: string
  /** Its configuration in one line, for the report. */
  readonly about: string
  /** The path of the program; undefined if it is not on the PATH. */
  readonly program: string | undefined
  version(program: string): Promise<string>
  start(program: string, environment: Environment, registryPort: number): Promise<Started>
}

export interface Started {
  readonly child: ChildProcess
  readonly port: number
  /** A limitation found at start, for the report. */
  readonly note?: string
}

export function originOf({ port, isGuarded }: Endpoint): string {
  return `${isGuarded ? 'https' : 'http'}://127.0.0.1:${port}`
}

export function authorizationOf({ user }: Environment): string {
  return `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`
}
