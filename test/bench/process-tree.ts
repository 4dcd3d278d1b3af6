// Reads CPU time and memory of a process tree.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

interface Stat {
  readonly parent: number
  readonly ticks: number
}

/** Returns the process, then its descendants. */
export function processTree(root: number): readonly number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), parent: statOf(Number(name))?.parent }))
  const tree = [root]
  for (const member of tree)
    tree.push(...parents.filter(({ parent }) => parent === member).map(({ pid }) => pid))
  return tree
}

/** User and system time of the tree so far. */
export function cpuSeconds(root: number): number {
  return sum(processTree(root).map((pid) => statOf(pid)?.ticks ?? 0)) / TICKS_PER_SECOND
}

/** The sum of each process's highest resident size since `resetPeakRss`; shared pages count once per process. */
export function peakRssMib(root: number): number {
  return sum(
    processTree(root).map((pid) => {
      const match = /VmHWM:\s+(\d+) kB/.exec(readProc(`/proc/${pid}/status`))
      return Number(match?.[1] ?? 0) / 1024
    }),
  )
}

/** The resident size of this process alone. Throws when there is no such process. */
export function residentMib(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1]) / 1024
}

/** The resident size of this process without pages that another process shares, as those of one Node binary. */
export function privateMib(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return sum([...text.matchAll(/^Private_\w+:\s+(\d+) kB/gm)].map(([, kib]) => Number(kib))) / 1024
}

export function resetPeakRss(root: number): void {
  // 5 sets the peak to the current size (proc(5), clear_refs).
  for (const pid of processTree(root)) writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/** Resolves when the tree is idle, so that work of the previous measure does not count. */
export async function settled(root: number): Promise<void> {
  let before = cpuSeconds(root)
  for (let i = 0; i < 50; i++) {
    await pause(100)
    const now = cpuSeconds(root)
    if (now === before) return
    before = now
  }
}

function statOf(pid: number): Stat | undefined {
  // Counts fields from the end of the second one because a program name may hold spaces and parentheses.
  const [, rest] = /^.*\) (.*)$/s.exec(readProc(`/proc/${pid}/stat`)) ?? []
  const fields = rest?.split(' ')
  if (fields === undefined) return undefined
  return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }
}

function readProc(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
