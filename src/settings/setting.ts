// Defines a setting, and the names of its variable and flag.

import type { Parsed } from './setting-values.ts'

export interface Setting {
  readonly default: string
  /** The kind of value, for help. Shells complete `file` and `folder`. */
  readonly form: string
  readonly words?: readonly string[]
  readonly parse: (text: string) => Parsed<unknown>
  /** One sentence, for help and documentation. */
  readonly meaning: string
  /** Markdown for the documentation only. */
  readonly details?: string
}

export type Settings = Readonly<Record<string, Setting>>

/** `adminListen` → `SIDECAR_ADMIN_LISTEN`. */
export function variableOf(name: string): string {
  return `SIDECAR_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

/** `adminListen` → `--admin-listen`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}
