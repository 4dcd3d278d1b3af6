// What `trust` says to a person.

import type { Root } from '../../pki/certificate.ts'
import type { ClientTrust, RegistryKeys, TrustSubject } from '../../client-setup/client-setup.ts'
import { trustClients } from '../../client-setup/clients.ts'
import { fetchCommands, FETCHED_FILE } from '../../client-setup/shell-commands.ts'
import { dayOf } from '../calendar-day.ts'
import type { Machine } from '../this-machine.ts'
import type { FileOutcome } from './file-outcome.ts'

export interface Report {
  readonly root: Root
  /** What to know and do before the instructions hold. */
  readonly preparation: readonly string[]
  readonly subject: TrustSubject
  /** Undefined when nothing was asked to be installed. */
  readonly installed: readonly FileOutcome[] | undefined
  /** The clients whose commands are shown. */
  readonly shown: readonly ClientTrust[]
  /** Names in the certificate for which no commands are shown. */
  readonly otherNames: readonly string[]
}

export interface RemovalReport {
  readonly root: Root | undefined
  readonly removed: readonly FileOutcome[]
  readonly keys: RegistryKeys
}

/** The instructions, or what has been installed. */
export function describe(report: Report): string {
  const { root, preparation, subject, installed } = report
  const rest =
    installed === undefined
      ? [...preparation, ...instructions(report)]
      : [...listOf(installed), ...withPreparation(preparation, installed), '', whatIsLeft(subject.machine)]
  return asText([...head(root, subject.file), host(subject.keys), '', ...rest])
}

/** What has been removed. */
export function describeRemoval({ root, removed, keys }: RemovalReport): string {
  const facts =
    root === undefined
      ? ['root         not known here: only what has the name of a registry-sidecar root counts as ours']
      : head(root, root.file)
  return asText([...facts, host(keys), '', ...listOf(removed)])
}

function head({ fingerprint, notAfter }: Root, file: string): readonly string[] {
  return [`root         ${file}`, `SHA-256      ${fingerprint}`, `valid until  ${dayOf(notAfter)}`]
}

function host(keys: RegistryKeys): string {
  return `host         ${keys.join(' and ')}`
}

const LOCAL_KEY = /^localhost(?::|$)/

function instructions({ subject, shown, otherNames }: Report): readonly string[] {
  const hidden = trustClients(subject)
    .map(({ client }) => client)
    .filter((client) => !shown.some((one) => one.client === client))
  return [
    ...shown.flatMap(({ client, commands, note }) => [`${client}: ${note}`, ...commands.map(indented), '']),
    ...onOtherMachines(subject.keys),
    'To a client HOST and HOST:443 are different keys: trust the root under the very name that stands before the',
    `first slash of your images. --host HOST:PORT shows the commands for another name${examplesOf(otherNames)}.`,
    ...(hidden.length === 0 ? [] : [`Other clients: --client NAME, or --all (${hidden.join(', ')}).`]),
  ]
}

function onOtherMachines(keys: RegistryKeys): readonly string[] {
  const key = keys.find((one) => !LOCAL_KEY.test(one))
  if (key === undefined) {
    return ['Other machines need the name that they use: give it with --host HOST:PORT.', '']
  }
  return [
    'On another machine fetch the certificate first, and go on only if openssl prints the SHA-256 above; in the',
    `commands above ${FETCHED_FILE} then takes the place of the path:`,
    ...fetchCommands(key).map(indented),
    '',
  ]
}

const MAX_EXAMPLES = 4

function examplesOf(names: readonly string[]): string {
  if (names.length === 0) return ''
  const rest = names.length > MAX_EXAMPLES ? ', …' : ''
  return `; the certificate also carries ${names.slice(0, MAX_EXAMPLES).join(', ')}${rest}`
}

function listOf(outcomes: readonly FileOutcome[]): readonly string[] {
  const lines = outcomes.map(({ file, outcome, note }) => {
    return `${outcome.padEnd(13)}${file}${note === undefined ? '' : `: ${note}`}`
  })
  const commands = commandsIn(outcomes)
  if (commands.length === 0) return lines
  return [...lines, '', 'What failed for want of rights is done by:', ...commands.map(indented)]
}

function withPreparation(
  preparation: readonly string[],
  installed: readonly FileOutcome[],
): readonly string[] {
  return commandsIn(installed).length > 0 && preparation.length > 0 ? ['', ...preparation.slice(0, -1)] : []
}

function commandsIn(outcomes: readonly FileOutcome[]): readonly string[] {
  return outcomes.flatMap(({ command }) => command ?? [])
}

function whatIsLeft({ platform, isRoot }: Pick<Machine, 'platform' | 'isRoot'>): string {
  if (platform === 'darwin') {
    return 'Docker Desktop must be restarted; podman and others: see `trust` without --install'
  }
  const rest = 'Clients without such folders: see `trust` without --install'
  return isRoot
    ? `A dockerd that a person runs without root does not look there: run this as that person too. ${rest}`
    : `That is for you alone; with sudo it is for everyone on this machine. ${rest}`
}

// A here-document ends at a line that holds its mark and nothing else: what is to be pasted must not be indented.
function indented(command: string): string {
  return command.includes('\n') ? command : `  ${command}`
}

function asText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}
