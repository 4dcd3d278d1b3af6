// Runs `check`: finds problems of a sidecar and how to fix them.

import { parseHtpasswd } from '../../users/htpasswd.ts'
import type { Config, Sources } from '../../settings/config.ts'
import { ConfigError, errorCode, errorMessage, InvalidFileError } from '../../errors/errors.ts'
import { readRegular } from '../../files/regular-file.ts'
import { isMountPoint } from '../../files/mount-point.ts'
import { probeRegistry } from '../../upstream/probe/probe.ts'
import { addressText } from '../../upstream/connect/registry-address.ts'
import { FILE_MOUNT } from '../../users/users.ts'
import { checkUploads } from './check-uploads.ts'
import { checkAccess } from './check-access.ts'
import { checkCertificate } from './check-certificate.ts'
import { checkClientCa } from './check-client-ca.ts'
import { checkProxies } from './check-proxies.ts'
import { formatFinding, hasProblem, type Finding } from './finding.ts'
import { checkHost } from '../check-host/check-host.ts'
import { thisMachine, type Machine } from '../this-machine.ts'
import { settingsInForce } from '../settings-in-force.ts'
import { parseRegistryAddress } from '../trust/registry-key.ts'
import type { ExitCode, World } from '../../app/world.ts'

export interface CheckRequest {
  readonly sources: Sources
  readonly json: boolean
  /** Check only this address, as a client would: `host` or `host:port`. */
  readonly host?: string | undefined
  readonly machine?: Machine
  /** The time limit of each step with `host`. */
  readonly timeoutMs?: number
}

/** Resolves to 0 without problems, to 1 with problems, and to 64 with wrong settings. */
export async function check(request: CheckRequest, world: World): Promise<ExitCode> {
  const { sources, json, host, machine = thisMachine(), timeoutMs = TIMEOUT_MS } = request
  const target = host === undefined ? undefined : parseRegistryAddress(host)
  const { config, findings: aboutSettings } = await checkSettings(sources)
  const findings = config === undefined ? aboutSettings : await findProblems(config)
  const ok = !hasProblem(findings)
  if (json) world.stdout.write(`${JSON.stringify({ ok, findings })}\n`)
  else for (const finding of findings) world.stdout.write(`${formatFinding(finding)}\n`)
  if (config === undefined) return 64
  return ok ? 0 : 1

  async function findProblems(settings: Config): Promise<readonly Finding[]> {
    if (target === undefined) return [...aboutSettings, ...(await checkParts(settings))]
    return checkHost({ config: settings, target, machine, env: world.env, timeoutMs, now: new Date() })
  }
}

// dockerd aborts a login after 15 s in total, so one step gets 5 s.
const TIMEOUT_MS = 5_000

async function checkSettings(
  sources: Sources,
): Promise<{ readonly config?: Config; readonly findings: readonly Finding[] }> {
  const part = 'settings'
  try {
    const { config, taken, ignored } = await settingsInForce(sources, ['upstream', 'listen'])
    const findings: readonly Finding[] = [
      { level: 'ok', part, text: 'all settings are valid' },
      ...(taken === undefined ? [] : [{ level: 'ok', part, text: taken } as const]),
      ...(ignored === undefined ? [] : [{ level: 'note', part, text: ignored } as const]),
    ]
    return { config, findings }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { findings: error.problems.map((text) => ({ level: 'problem', part, text })) }
  }
}

async function checkParts(config: Config): Promise<readonly Finding[]> {
  return [
    ...(await checkUsers(config.users)),
    ...(await checkMount(config.users)),
    ...(await checkCertificate(config)),
    ...(await checkClientCa(config)),
    ...(await checkAccess(config)),
    ...checkProxies(config),
    ...(await checkRegistry(config)),
  ]
}

async function checkMount(file: string): Promise<readonly Finding[]> {
  if (!(await isMountPoint(file))) return []
  return [{ level: 'note', part: 'users', text: `${file}: ${FILE_MOUNT.text}`, hint: FILE_MOUNT.hint }]
}

async function checkUsers(file: string): Promise<readonly Finding[]> {
  const part = 'users'
  try {
    const { entries, problems } = parseHtpasswd(await readRegular(file), file)
    const skipped = problems.map(({ line, reason }): Finding => ({
      level: 'note',
      part,
      text: `${file}:${line}: skipped: ${reason}`,
    }))
    if (entries.size > 0) return [{ level: 'ok', part, text: `${entries.size} in ${file}` }, ...skipped]
    return [
      { level: 'problem', part, text: `${file} has no users, so every login fails`, hint: addUser(file) },
      ...skipped,
    ]
  } catch (error) {
    if (error instanceof InvalidFileError) return [{ level: 'problem', part, text: error.message }]
    if (errorCode(error) !== 'ENOENT') return [{ level: 'problem', part, text: errorMessage(error) }]
    return [{ level: 'problem', part, text: `${file} does not exist`, hint: addUser(file) }]
  }
}

function addUser(file: string): string {
  return `registry-sidecar user add NAME --users ${file}`
}

async function checkRegistry({ upstream, hosts, listen }: Config): Promise<readonly Finding[]> {
  const url = addressText(upstream)
  const outcome = await probeRegistry(upstream, TIMEOUT_MS)
  if (outcome.kind !== 'answers') {
    const hint = outcome.hint ?? 'start the registry at this address, or set SIDECAR_UPSTREAM'
    return [{ level: 'problem', part: 'registry', text: `${url}: ${outcome.reason}`, hint }]
  }
  const host = `${hosts[0]?.value ?? 'localhost'}:${listen.port}`
  return [
    { level: 'ok', part: 'registry', text: `${url} answers` },
    ...(await checkUploads({ registry: upstream, host })),
  ]
}
