import { cpuSeconds, peakRssMib, resetPeakRss, settled } from './process-tree.ts'
import type { Subject } from './subject.ts'

export interface Metered<T> {
  readonly value: T
  /** CPU seconds of the subject's processes while the work was done. */
  readonly cpu: number
  /** The same with the registry behind it, which lets a registry without proxy be compared. */
  readonly cpuWithRegistry: number
  readonly peakMib: number
}

/** Does the work and reads what it cost the subject. */
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
