// Measures one pull, one push, and parallel pulls.

import { pull, pullAtOnce, push, verifyPulls } from '../curl.ts'
import type { Figure, Measure } from '../measure.ts'
import { metered, type Metered } from '../meter.ts'

const MIB = 1024 * 1024
const AT_ONCE = 64

const FIGURES: readonly Figure[] = [
  { key: 'cpu', label: 'CPU s/GiB', digits: 2, better: 'lower' },
  { key: 'cpuWithRegistry', label: "CPU s/GiB with the registry's", digits: 2, better: 'lower' },
  { key: 'speed', label: 'MiB/s', digits: 0, better: 'higher' },
  { key: 'rss', label: 'peak RSS, MiB', digits: 0, better: 'lower' },
]

export const pullOne: Measure = {
  name: 'pull',
  title: 'Pull',
  figures: FIGURES,
  run: async (subject, { environment, blobs }) => {
    const pulled = await metered(subject, () => pull(environment, subject, blobs.large))
    await verifyPulls(environment, subject, { blob: blobs.large, count: 1 })
    return perGib(pulled, { bytes: blobs.large.bytes, seconds: pulled.value.seconds })
  },
}

export const pushOne: Measure = {
  name: 'push',
  title: 'Push',
  figures: FIGURES,
  run: async (subject, { environment, blobs, serial }) => {
    // A new repository, because clients do not push a blob that is linked already. The registry verifies the digest.
    const repository = `push-${serial()}`
    const blob = blobs.large
    const pushed = await metered(subject, () => push(environment, subject, { repository, blob }))
    return perGib(pushed, { bytes: blob.bytes, seconds: pushed.value })
  },
}

export const pullMany: Measure = {
  name: 'many',
  title: `${AT_ONCE} pulls at once, a login each`,
  figures: FIGURES,
  run: async (subject, { environment, blobs }) => {
    const pulls = { blob: blobs.medium, count: AT_ONCE }
    const pulled = await metered(subject, () => pullAtOnce(environment, subject, pulls))
    const seconds = Math.max(...pulled.value.map((transfer) => transfer.seconds))
    await verifyPulls(environment, subject, pulls)
    return perGib(pulled, { bytes: AT_ONCE * blobs.medium.bytes, seconds })
  },
}

interface Moved {
  readonly bytes: number
  readonly seconds: number
}

function perGib(
  { cpu, cpuWithRegistry, peakMib }: Metered<unknown>,
  { bytes, seconds }: Moved,
): Readonly<Record<string, number>> {
  const mib = bytes / MIB
  return {
    cpu: (cpu * 1024) / mib,
    cpuWithRegistry: (cpuWithRegistry * 1024) / mib,
    speed: mib / seconds,
    rss: peakMib,
  }
}
