// Reads the version of this program.

import { createRequire } from 'node:module'

// The package imports itself by name, because the build puts this file in another folder.
export function programVersion(): string {
  const { version } = createRequire(import.meta.url)('registry-sidecar/package.json') as { version: string }
  return version
}
