// Collects old and machine passwords, and attaches them to their entries.

import { compileRestriction } from '../access/restriction.ts'
import { parseHash } from './htpasswd-line.ts'
import { parseMachineLine, type MachinePasswordLine } from './machine-passwords/machine-password-line.ts'
import { bindingOf, MAX_KEPT, parseKeptLine, type KeptLine } from './old-password-line.ts'
import type { Entry, MachinePassword, MachinePasswords, Problem } from './user-table.ts'

export interface OwnLines {
  take(text: string, line: number): boolean
  /** Call it after all entries, because a password may come before its entry. Pauses after each line. */
  attachTo(entries: Map<string, Entry>): Generator<undefined, Attached, undefined>
}

export interface Attached {
  readonly machinePasswords: MachinePasswords
  readonly problems: readonly Problem[]
}

type Numbered<T> = T & { readonly line: number }

/** @param now milliseconds since 1970; old passwords that expired by then are left out */
export function createOwnLines(now: number): OwnLines {
  const olds: Numbered<KeptLine>[] = []
  const machines: Numbered<MachinePasswordLine>[] = []
  const problems: Problem[] = []

  function take(text: string, line: number): boolean {
    const old = parseKeptLine(text)
    if (old.kind === 'malformed') problems.push({ line, kind: OLD, reason: old.reason })
    if (old.kind === 'kept' && now < old.validUntil) olds.push({ ...old, line })
    if (old.kind !== 'other') return true
    const machine = parseMachineLine(text)
    if (machine.kind === 'malformed') problems.push({ line, kind: MACHINE, reason: machine.reason })
    if (machine.kind === 'machine') machines.push({ ...machine, line })
    return machine.kind !== 'other'
  }

  function* attachTo(entries: Map<string, Entry>): ReturnType<OwnLines['attachTo']> {
    for (const old of olds) {
      yield
      const entry = withOldPassword(entries.get(old.username), old)
      if ('reason' in entry) problems.push(entry)
      else entries.set(entry.username, entry)
    }
    const taken: Taken = { byDigest: new Map(), ids: new Set() }
    for (const machine of machines) {
      yield
      const problem = machineProblem(entries.get(machine.username), machine, taken)
      if (problem !== undefined) {
        problems.push({ line: machine.line, kind: MACHINE, reason: problem })
        continue
      }
      taken.byDigest.set(machine.digest, machinePasswordOf(machine))
      taken.ids.add(machine.id)
    }
    return { machinePasswords: taken.byDigest, problems }
  }

  return { take, attachTo }
}

const OLD = 'unusable old password'
const MACHINE = 'unusable machine password'

function withOldPassword(
  entry: Entry | undefined,
  { username, hash, binding, validUntil, line }: Numbered<KeptLine>,
): Entry | Problem {
  const problem = (what: string): Problem => ({
    line,
    kind: OLD,
    reason: `the old password kept for ${username} ${what}`,
  })
  if (entry === undefined) return problem('lets nobody in: there is no usable entry of that name')
  const parsed = parseHash(hash)
  if (parsed.kind === 'unusable') return problem(`has ${parsed.found}, which is not taken; remove this line`)
  if (entry.previous.length >= MAX_KEPT) return problem(`is one too many; up to ${MAX_KEPT} are taken`)
  if (binding !== bindingOf(entry.hash)) {
    return problem('is no longer valid: the password was changed by other means than `user passwd`')
  }
  return { ...entry, previous: [...entry.previous, { hash, cost: parsed.cost, validUntil, line }] }
}

interface Taken {
  readonly byDigest: Map<string, MachinePassword>
  readonly ids: Set<string>
}

/** If two lines have one id or one secret, the first counts. */
function machineProblem(
  entry: Entry | undefined,
  { id, username, digest, binding }: MachinePasswordLine,
  { byDigest, ids }: Taken,
): string | undefined {
  const subject = `the machine password ${id} of ${username}`
  if (entry === undefined) return `${subject} lets nobody in: there is no usable entry of that name`
  if (binding !== bindingOf(entry.hash)) {
    return `${subject} is no longer valid: the entry was changed by other means than \`user passwd\``
  }
  if (ids.has(id)) return `${subject} has the id of an earlier line, which counts`
  const same = byDigest.get(digest)
  return same === undefined ? undefined : `${subject} has the secret of ${same.id}, which counts`
}

function machinePasswordOf(machine: Numbered<MachinePasswordLine>): MachinePassword {
  const { id, username, label, validUntil, restriction, line } = machine
  return { id, username, label, validUntil, restriction: compileRestriction(restriction), line }
}
