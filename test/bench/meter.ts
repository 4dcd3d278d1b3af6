// Measures the CPU and memory that work costs a subject.

import { cpuSeconds, peakRssMib, resetPeakRss, settled } from './process-tree.ts'
import type { Subject } from './subject.ts'

export interface Metered<T> {
  readonly value: T
  /** CPU seconds of the subject's processes during the work. */
  readonly cpu: number
  /** Includes the registry behind the subject, to compare with a registry without a proxy. */
  readonly cpuWithRegistry: number
  readonly peakMib: number
}

export async function metered<T>(subject: Subject, work: () => Promise<T>): Promise<Metered<T>> {
  const { pid, registryPid } = subject
  const registryCpu = (): number => (registryPid === undefined ? 0 : cpuSeconds(registryPid))
  await settled(pid)
  if (registryPid !== undefined) await settled(registryPid)
  resetPeakRss(pid)
  const before = { own: cpuSeconds(pid), registry: registryCpu() }
  const value = await work()
  const cpu = cpuSeconds(pid) - before.own
  const cpuWithRegistry = cpu + registryCpu() - before.registry
  return { value, cpu, cpuWithRegistry, peakMib: peakRssMib(pid) }
}
