// Decides whether several processes can share a port here.

import { platform, version } from 'node:process'

/** Undefined if the option `reusePort` of `server.listen()` works. Earlier versions of Node ignore the option. */
export function objectionToReusePort(system: string = platform, nodeVersion = version): string | undefined {
  if (system !== 'linux') return 'only Linux shares the connections to a port among processes'
  const [major = 0, minor = 0] = nodeVersion.replace('v', '').split('.').map(Number)
  const isRecent = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12)
  return isRecent ? undefined : `Node ${nodeVersion} cannot share a port; use Node 22.12 or later`
}
