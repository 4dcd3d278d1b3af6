// Reads the version of this program.

import { createRequire } from 'node:module'

// The package imports itself by name, because the place of this file in the build is another.
export function programVersion(): string {
  const { version } = createRequire(import.meta.url)('registry-sidecar/package.json') as { version: string }
  return version
}
