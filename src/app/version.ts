// Reads the version of this program.

import { createRequire } from 'node:module'

export function programVersion(): string {
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }
  return version
}
