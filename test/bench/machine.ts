// Describes the machine of a benchmark run.

import { readFileSync } from 'node:fs'
import os from 'node:os'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly system: string
  readonly registry: string
  readonly date: string
}

export function describeMachine(registry: string): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'an unknown CPU',
    cores: os.availableParallelism(),
    system: `${distributionName()}, Linux ${os.release()}`,
    registry,
    date: new Date().toISOString().slice(0, 10),
  }
}

function distributionName(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? os.type()
  } catch {
    return os.type()
  }
}
