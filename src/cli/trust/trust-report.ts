// Writes the output of `trust` for people.

import type { Root } from '../../pki/certificate.ts'
import type { ClientTrust, RegistryKeys, TrustSubject } from '../../client-setup/client-setup.ts'
import { trustClients } from '../../client-setup/clients.ts'
import { fetchCommands, FETCHED_FILE } from '../../client-setup/shell-commands.ts'
import { dayOf } from '../calendar-day.ts'
import type { Machine } from '../this-machine.ts'
import type { FileOutcome } from './file-outcome.ts'

export interface Report {
  readonly root: Root
  /** Lines to read before the instructions. */
  readonly preparation: readonly string[]
  readonly subject: TrustSubject
  /** Undefined without `--install`. */
  readonly installed: readonly FileOutcome[] | undefined
  readonly shown: readonly ClientTrust[]
  /** Names in the certificate for which no commands are shown. */
  readonly otherNames: readonly string[]
}

export interface RemovalReport {
  readonly root: Root | undefined
  readonly removed: readonly FileOutcome[]
  readonly keys: RegistryKeys
}

export function formatReport(report: Report): string {
  const { root, preparation, subject, installed } = report
  const rest =
    installed === undefined
      ? [...preparation, ...instructions(report)]
      : [...listOf(installed), ...withPreparation(preparation, installed), '', nextSteps(subject.machine)]
  return asText([...head(root, subject.file), host(subject.keys), '', ...rest])
}

export function formatRemoval({ root, removed, keys }: RemovalReport): string {
  const facts =
    root === undefined
      ? ['root         unknown here: --uninstall removes only roots with the name of a registry-sidecar root']
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
    'HOST and HOST:443 are different keys for a client: use the text before the first slash in the names of your',
    `images. --host HOST:PORT shows the commands for another name${examplesOf(otherNames)}.`,
    ...(hidden.length === 0 ? [] : [`Other clients: --client NAME, or --all (${hidden.join(', ')}).`]),
  ]
}

function onOtherMachines(keys: RegistryKeys): readonly string[] {
  const key = keys.find((one) => !LOCAL_KEY.test(one))
  if (key === undefined) {
    return ['For other machines, run this command with --host HOST:PORT, the name that they use.', '']
  }
  return [
    'On another machine, fetch the certificate first. Continue only if openssl prints the SHA-256 above. Then use',
    `${FETCHED_FILE} as the path in the commands above:`,
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
  return [...lines, '', 'Run these commands for the files that you may not write:', ...commands.map(indented)]
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

function nextSteps({ platform, isRoot }: Pick<Machine, 'platform' | 'isRoot'>): string {
  if (platform === 'darwin') {
    return 'Restart Docker Desktop. For podman and other clients, run `trust` without --install'
  }
  const rest = 'For clients without such folders, run `trust` without --install'
  return isRoot
    ? `A rootless dockerd does not read these folders: run this command as its user too. ${rest}`
    : `These files affect only your clients; with sudo, the command affects all users of this machine. ${rest}`
}

// Does not indent a here-document, because it ends only at a line that contains nothing but its end word.
function indented(command: string): string {
  return command.includes('\n') ? command : `  ${command}`
}

function asText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}
