// Looks at everything a running sidecar needs, from the outside, and says what to mend.

import { readFile } from 'node:fs/promises'
import { parseHtpasswd } from '../auth/htpasswd.ts'
import { parseConfig, type Config, type Sources } from '../config.ts'
import { ConfigError, errorCode, errorMessage, InvalidFileError } from '../errors.ts'
import { ownFilesOf, readOwnPair, type OwnFiles } from '../own-files.ts'
import { leafDaysLeft } from '../readiness.ts'
import { isMountPoint } from '../reload/mount-point.ts'
import { readRoot } from '../tls/keystore.ts'
import { askForLocation } from '../upstream/location.ts'
import { probeRegistry } from '../upstream/probe.ts'
import { FILE_MOUNT } from '../users.ts'
import type { ExitCode, World } from './world.ts'

export interface Finding {
  readonly level: 'ok' | 'note' | 'problem'
  readonly part: 'settings' | 'users' | 'certificate' | 'registry' | 'location'
  readonly text: string
  /** What to do about it. */
  readonly mend?: string
}

export interface CheckRequest {
  readonly sources: Sources
  readonly json: boolean
}

/** Prints one line per finding. 0 when nothing keeps the sidecar from its work, 1 otherwise, 64 for wrong settings. */
export async function check({ sources, json }: CheckRequest, world: World): Promise<ExitCode> {
  const settings = checkSettings(sources)
  const findings = settings.config === undefined ? settings.findings : await checkParts(settings.config)
  const isGood = findings.every(({ level }) => level !== 'problem')
  if (json) world.stdout.write(`${JSON.stringify({ ok: isGood, findings })}\n`)
  else for (const finding of findings) world.stdout.write(`${lineOf(finding)}\n`)
  if (settings.config === undefined) return 64
  return isGood ? 0 : 1
}

function lineOf({ level, part, text, mend }: Finding): string {
  return `${level.padEnd(7)} ${part}: ${text}${mend === undefined ? '' : ` → ${mend}`}`
}

function checkSettings(sources: Sources): { config?: Config; findings: readonly Finding[] } {
  try {
    return { config: parseConfig(sources), findings: [] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { findings: error.problems.map((text) => ({ level: 'problem', part: 'settings', text })) }
  }
}

async function checkParts(config: Config): Promise<readonly Finding[]> {
  return [
    { level: 'ok', part: 'settings', text: 'all understood' },
    ...(await checkUsers(config.users)),
    ...(await checkMount(config.users)),
    ...(await checkCertificate(config)),
    ...(await checkRegistry(config)),
  ]
}

async function checkMount(file: string): Promise<readonly Finding[]> {
  if (!(await isMountPoint(file))) return []
  return [{ level: 'note', part: 'users', text: `${file}: ${FILE_MOUNT.text}`, mend: FILE_MOUNT.mend }]
}

async function checkUsers(file: string): Promise<readonly Finding[]> {
  const part = 'users'
  try {
    const { entries, problems } = parseHtpasswd(await readFile(file), file)
    const skipped = problems.map(({ line, reason }): Finding => ({
      level: 'note',
      part,
      text: `${file}:${line}: skipped: ${reason}`,
    }))
    if (entries.size > 0) return [{ level: 'ok', part, text: `${entries.size} in ${file}` }, ...skipped]
    return [
      { level: 'problem', part, text: `${file} has no users: nobody gets in`, mend: addUser(file) },
      ...skipped,
    ]
  } catch (error) {
    if (error instanceof InvalidFileError) return [{ level: 'problem', part, text: error.message }]
    if (errorCode(error) !== 'ENOENT') return [{ level: 'problem', part, text: errorMessage(error) }]
    return [{ level: 'problem', part, text: `${file} does not exist`, mend: addUser(file) }]
  }
}

function addUser(file: string): string {
  return `registry-sidecar user add NAME --users ${file}`
}

async function checkCertificate(config: Config): Promise<readonly Finding[]> {
  const own = ownFilesOf(config)
  try {
    if (own !== undefined) return await checkOwnCertificate(own)
    const { file, fingerprint, notAfter } = await readRoot(config.stateDir)
    const until = notAfter.toISOString().slice(0, 10)
    return [{ level: 'ok', part: 'certificate', text: `root ${file}, ${fingerprint}, until ${until}` }]
  } catch (error) {
    return [{ level: 'problem', part: 'certificate', text: errorMessage(error) }]
  }
}

async function checkOwnCertificate(files: OwnFiles): Promise<readonly Finding[]> {
  const part = 'certificate'
  const outcome = await readOwnPair(files, new Date())
  if (outcome.kind === 'mismatch') return [{ level: 'problem', part, text: outcome.error.message }]
  const { leaf } = outcome.certificate.bundle
  const days = leafDaysLeft(leaf)
  const names = leaf.subjectAltNames.map(({ value }) => value).join(', ')
  const text = `${files.certFile}, issued elsewhere, for ${names}; ${days} days left`
  if (days >= WARNED_DAYS) return [{ level: 'ok', part, text }]
  return [{ level: 'note', part, text, mend: 'have it renewed: that is not done here' }]
}

const WARNED_DAYS = 30

async function checkRegistry({ upstream, hosts, listen }: Config): Promise<readonly Finding[]> {
  const url = `http://${upstream.hostname}:${upstream.port}`
  const outcome = await probeRegistry(upstream)
  if (outcome.kind !== 'answers') {
    const mend = 'start it there, or set SIDECAR_UPSTREAM'
    return [{ level: 'problem', part: 'registry', text: `${url}: ${outcome.reason}`, mend }]
  }
  const host = `${hosts[0]?.value ?? 'localhost'}:${listen.port}`
  return [
    { level: 'ok', part: 'registry', text: `${url} answers` },
    await checkLocation({ ...upstream, host }),
  ]
}

async function checkLocation(question: Parameters<typeof askForLocation>[0]): Promise<Finding> {
  const part = 'location'
  const finding = await askForLocation(question)
  switch (finding.kind) {
    case 'fitting':
      return { level: 'ok', part, text: `uploads continue at ${finding.location}` }
    case 'misleading': {
      const mend =
        "take `host` out of the registry's `http` settings (REGISTRY_HTTP_HOST), or set it to what clients call"
      return { level: 'problem', part, text: `the registry sends uploads to ${finding.location}`, mend }
    }
    case 'unknown':
      return { level: 'note', part, text: `could not be tried: ${finding.reason}` }
  }
}
