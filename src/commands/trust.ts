import { resolve } from 'node:path'
import type { Config } from '../config.ts'
import { ConfigError } from '../errors.ts'
import type { RegistryKeys } from '../trust/client-trust.ts'
import { trustClients } from '../trust/clients.ts'
import { thisMachine, type Machine } from './machine.ts'
import { foldersToFill } from './trust/certs-folders.ts'
import type { FileOutcome } from './trust/file-outcome.ts'
import { installRoot } from './trust/install-root.ts'
import { parseRegistryAddress, registryKeys } from './trust/registry-key.ts'
import { describe, describeRemoval, type Report } from './trust/report.ts'
import { describeIssuer, readTrusted, rootIfKnown } from './trust/trusted.ts'
import { uninstallRoot } from './trust/uninstall-root.ts'
import type { ExitCode, World } from './world.ts'

export interface TrustRequest {
  readonly config: Config
  /** What clients call the registry, `host` or `host:port`; made from the settings if there is none. */
  readonly hosts: readonly string[]
  /** Write the certs.d files of this machine instead of telling how. */
  readonly install: boolean
  /** Take them away again. */
  readonly uninstall: boolean
  /** The certificate alone. */
  readonly pem: boolean
  /** One JSON document instead of text. */
  readonly json: boolean
  readonly machine?: Machine
}

/**
 * Tells how each client comes to trust the root, or sees to it on this machine. Resolves to 1 when some file could not
 * be written or removed; each is told. Rejects with a ConfigError for wrong usage, with an InvalidFileError when there
 * is no root to trust.
 */
export async function trust(request: TrustRequest, world: World): Promise<ExitCode> {
  const { config, hosts, install, uninstall, pem, json, machine = thisMachine() } = request
  if (pem && (install || uninstall || json))
    throw new ConfigError(['--pem prints the certificate alone: give no other flag'])
  if (install && uninstall) throw new ConfigError(['--install or --uninstall, not both'])
  const [first, ...others] = hosts.map((host) => parseRegistryAddress(host).key)
  const given: RegistryKeys | undefined = first === undefined ? undefined : [first, ...others]
  const keysOf = () => given ?? registryKeys(config, machine.hostname)
  if (uninstall) return takeAway({ config, json, keys: keysOf(), machine }, world)

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
  const certDir = trusted.certDir && resolve(trusted.certDir)
  const subject = { keys: keysOf(), file: resolve(trusted.file), certDir, machine }
  const folders = install ? await foldersToFill({ machine, env: world.env }) : []
  const source = { pem: root.pem, file: subject.file, home: machine.home }
  const installed = install ? await installRoot(source, { keys: subject.keys, folders }) : undefined
  const report = { root, preparation, subject, installed }
  world.stdout.write(json ? `${JSON.stringify(documentOf(report))}\n` : describe(report))
  return exitCode(installed ?? [])
}

interface Removal {
  readonly config: Config
  readonly json: boolean
  readonly keys: RegistryKeys
  readonly machine: Machine
}

async function takeAway({ config, json, keys, machine }: Removal, world: World): Promise<ExitCode> {
  const root = await rootIfKnown(config)
  const folders = await foldersToFill({ machine, env: world.env })
  const removed = await uninstallRoot(root?.pem, { keys, folders })
  world.stdout.write(
    json
      ? `${JSON.stringify({ host: keys[0], uninstalled: removed })}\n`
      : describeRemoval({ root, removed, keys }),
  )
  return exitCode(removed)
}

function exitCode(outcomes: readonly FileOutcome[]): ExitCode {
  return outcomes.some(({ outcome }) => outcome === 'failed') ? 1 : 0
}

function documentOf({ root, subject, installed }: Report) {
  const { fingerprint, notAfter } = root
  const { keys, file } = subject
  return { path: file, fingerprint, notAfter, host: keys[0], clients: trustClients(subject), installed }
}
