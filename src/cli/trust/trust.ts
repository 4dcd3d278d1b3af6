// Runs `trust`: shows client instructions, or installs the root.

import { resolve } from 'node:path'
import type { Config } from '../../settings/config.ts'
import { ConfigError } from '../../errors/errors.ts'
import type { RegistryKeys } from '../../client-setup/client-setup.ts'
import { clientsHere, trustClients } from '../../client-setup/clients.ts'
import { readLeaf } from '../../certificates/state-folder/stored-state.ts'
import { thisMachine, type Machine } from '../this-machine.ts'
import { foldersToWrite, type HostEnvironment } from './certs-folders.ts'
import { foundClients } from './found-clients.ts'
import type { FileOutcome } from './file-outcome.ts'
import { installRoot } from './install-root.ts'
import { keysInUse, parseRegistryAddress, registryKeys } from './registry-key.ts'
import { formatRemoval, formatReport, type Report } from './trust-report.ts'
import { formatIssuer, readTrusted, rootIfKnown } from './trusted-root.ts'
import { uninstallRoot } from './uninstall-root.ts'
import type { ExitCode, World } from '../../app/world.ts'

export interface TrustRequest {
  readonly config: Config
  /** `host` or `host:port`, as clients write it. If empty, the hosts of the settings are used. */
  readonly hosts: readonly string[]
  /** The clients to show. Absent: those found on this machine. */
  readonly clients?: readonly string[]
  readonly all?: boolean
  readonly install: boolean
  readonly uninstall: boolean
  readonly pem: boolean
  readonly json: boolean
  readonly machine?: Machine
}

/** Resolves to 1 if a file could not be changed. Rejects with InvalidFileError if there is no root. */
export async function trust(request: TrustRequest, world: World): Promise<ExitCode> {
  const { config, install, uninstall, pem, json, machine = thisMachine() } = request
  refuseWrongUsage(request)
  const given = keysOf(request.hosts)
  const keysToShow = () => given ?? keysFor(request, machine)
  if (uninstall) return removeRoot({ config, json, keys: keysToShow(), machine }, world)

  const trusted = await readTrusted(config)
  if (trusted.kind === 'elsewhere') {
    world.stdout.write(formatIssuer(trusted, { pem, install, json }))
    return 0
  }
  const { root, preparation } = trusted
  if (pem) {
    world.stdout.write(root.pem)
    return 0
  }
  const keys = keysToShow()
  const certDir = trusted.certDir && resolve(trusted.certDir)
  const subject = { keys, file: resolve(trusted.file), certDir, machine }
  const folders = install ? await foldersToWrite({ machine, env: world.env }) : []
  const source = { pem: root.pem, file: subject.file, home: machine.home }
  const installed = install ? await installRoot(source, { keys, folders }) : undefined
  const shown = await clientsToShow(request, { subject, environment: { machine, env: world.env } })
  const report = { root, preparation, subject, installed, shown, otherNames: await otherNames(config, keys) }
  world.stdout.write(json ? `${JSON.stringify(documentOf(report))}\n` : formatReport(report))
  return exitCode(installed ?? [])
}

function refuseWrongUsage({ install, uninstall, pem, json, clients = [], all = false }: TrustRequest): void {
  if (pem && (install || uninstall || json))
    throw new ConfigError(['--pem prints only the certificate: give no other flag'])
  if (install && uninstall) throw new ConfigError(['give either --install or --uninstall'])
  if ((all || clients.length > 0) && (install || uninstall || pem))
    throw new ConfigError(['--client and --all choose which commands are shown: leave them out here'])
}

function keysOf(hosts: readonly string[]): RegistryKeys | undefined {
  const [first, ...others] = hosts.map((host) => parseRegistryAddress(host).key)
  return first === undefined ? undefined : [first, ...others]
}

// --json and --install add the host name, because other machines may use it.
function keysFor({ config, install, uninstall, json }: TrustRequest, machine: Machine): RegistryKeys {
  const inUse = keysInUse(config)
  if (!install && !uninstall && !json) return inUse
  const [key, ...more] = registryKeys(config, machine.hostname)
  return [key, ...new Set([...more, ...inUse.filter((one) => one !== key)])]
}

interface ClientSelection {
  readonly subject: Report['subject']
  readonly environment: HostEnvironment
}

async function clientsToShow(
  { clients = [], all = false, json }: TrustRequest,
  { subject, environment }: ClientSelection,
): Promise<Report['shown']> {
  const every = trustClients(subject)
  if (clients.length > 0) return every.filter(({ client }) => clients.includes(client))
  if (all || json) return every
  const found = await foundClients(environment)
  const here = every.filter(({ client }) => found.includes(client))
  return here.length > 0 ? here : clientsHere(subject)
}

async function otherNames({ tlsCert, stateDir }: Config, keys: RegistryKeys): Promise<readonly string[]> {
  if (tlsCert !== undefined) return []
  const names = await readLeaf({ folder: stateDir }).then(
    ({ leaf }) => leaf.subjectAltNames.map(({ value }) => value),
    () => [],
  )
  const shown = new Set(keys.map((key) => parseRegistryAddress(key).name.value))
  return names.filter((name) => !shown.has(name) && !LOOPBACK.has(name))
}

const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1'])

interface Removal {
  readonly config: Config
  readonly json: boolean
  readonly keys: RegistryKeys
  readonly machine: Machine
}

async function removeRoot({ config, json, keys, machine }: Removal, world: World): Promise<ExitCode> {
  const root = await rootIfKnown(config)
  const folders = await foldersToWrite({ machine, env: world.env })
  const removed = await uninstallRoot(root?.pem, { keys, folders })
  world.stdout.write(
    json
      ? `${JSON.stringify({ host: keys[0], uninstalled: removed })}\n`
      : formatRemoval({ root, removed, keys }),
  )
  return exitCode(removed)
}

function exitCode(outcomes: readonly FileOutcome[]): ExitCode {
  return outcomes.some(({ outcome }) => outcome === 'failed') ? 1 : 0
}

function documentOf({ root, subject, installed, shown }: Report) {
  const { fingerprint, notAfter } = root
  const { keys, file } = subject
  return { path: file, fingerprint, notAfter, host: keys[0], clients: shown, installed }
}
