import { resolve } from 'node:path'
import type { Config } from '../config.ts'
import { ConfigError } from '../errors.ts'
import type { Root } from '../tls/certificate.ts'
import { thisMachine, type Machine } from './machine.ts'
import type { TrustSubject } from './trust/client-trust.ts'
import { trustClients } from './trust/clients.ts'
import { certsFolders, installRoot, type InstalledFile } from './trust/install-root.ts'
import { parseRegistryKey, registryKeys, type RegistryKeys } from './trust/registry-key.ts'
import { fetchCommands, FETCHED_FILE } from './trust/shell-commands.ts'
import { describeIssuer, readTrusted } from './trust/trusted.ts'
import type { ExitCode, World } from './world.ts'

export interface TrustRequest {
  readonly config: Config
  /** What clients call the registry, `host` or `host:port`; made from the settings if absent. */
  readonly host?: string
  /** Write the certs.d files of this machine instead of telling how. */
  readonly install: boolean
  /** The certificate alone. */
  readonly pem: boolean
  /** One JSON document instead of text. */
  readonly json: boolean
  readonly machine?: Machine
}

/**
 * Tells how each client comes to trust the root, or sees to it on this machine. Rejects with a ConfigError for wrong
 * usage, with an InvalidFileError when there is no root to trust.
 */
export async function trust(request: TrustRequest, world: World): Promise<ExitCode> {
  const { config, host, install, pem, json, machine = thisMachine() } = request
  if (pem && (install || json))
    throw new ConfigError(['--pem prints the certificate alone: give no other flag'])
  const given: RegistryKeys | undefined = host === undefined ? undefined : [parseRegistryKey(host)]
  const trusted = await readTrusted(config)
  if (trusted.kind === 'elsewhere') {
    world.stdout.write(describeIssuer(trusted, { pem, install, json }))
    return 0
  }
  const { root, preparation } = trusted
  if (pem) {
    world.stdout.write(root.pem)
    return 0
  }
  const keys = given ?? registryKeys(config, machine.hostname)
  const folders = install ? certsFolders(machine) : []
  const installed = install ? await installRoot(root.pem, { keys, folders }) : undefined
  const report = { root, preparation, subject: { keys, file: resolve(trusted.file), machine }, installed }
  world.stdout.write(json ? `${JSON.stringify(documentOf(report))}\n` : textOf(report))
  return 0
}

interface Report {
  readonly root: Root
  /** What to know and do before the instructions hold. */
  readonly preparation: readonly string[]
  readonly subject: TrustSubject
  /** Undefined when nothing was asked to be installed. */
  readonly installed: readonly InstalledFile[] | undefined
}

function documentOf({ root, subject, installed }: Report) {
  const { fingerprint, notAfter } = root
  const { keys, file } = subject
  return { path: file, fingerprint, notAfter, host: keys[0], clients: trustClients(subject), installed }
}

function textOf({ root, preparation, subject, installed }: Report): string {
  const rest =
    installed === undefined
      ? [...preparation, ...instructions(subject)]
      : installation(installed, subject.machine)
  return [...head(root, subject), ...rest].map((line) => `${line}\n`).join('')
}

function head(root: Root, subject: TrustSubject): readonly string[] {
  return [
    `root         ${subject.file}`,
    `SHA-256      ${root.fingerprint}`,
    `valid until  ${root.notAfter.toISOString().slice(0, 10)}`,
    `host         ${subject.keys.join(' and ')}`,
    '',
  ]
}

function instructions(subject: TrustSubject): readonly string[] {
  const { keys } = subject
  return [
    'To a client HOST and HOST:443 are different keys, and so is every other way of writing the name: trust the',
    'root under the very name that stands before the first slash of your images; --host HOST:PORT names another.',
    '',
    'On another machine fetch the certificate first, and go on only if openssl prints the SHA-256 above; in the',
    `commands below ${FETCHED_FILE} then takes the place of the path:`,
    ...fetchCommands(keys[0]).map(indented),
    ...trustClients(subject).flatMap(({ client, commands, note }) => [
      '',
      `${client}: ${note}`,
      ...commands.map(indented),
    ]),
  ]
}

function installation(installed: readonly InstalledFile[], machine: Machine): readonly string[] {
  return [...installed.map(({ file, outcome }) => `${outcome.padEnd(13)}${file}`), '', whatIsLeft(machine)]
}

function whatIsLeft({ platform, isRoot }: Machine): string {
  if (platform === 'darwin') {
    return 'Docker Desktop must be restarted; podman and others: see `trust` without --install'
  }
  const rest = 'Clients without such folders: see `trust` without --install'
  return isRoot
    ? rest
    : `A dockerd run by root does not look there: for that one, run this with sudo. ${rest}`
}

// A here-document ends at a line that holds its mark and nothing else: what is to be pasted must not be indented.
function indented(command: string): string {
  return command.includes('\n') ? command : `  ${command}`
}
