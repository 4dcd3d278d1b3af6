// Describes the machine on which a command runs.

import { homedir, hostname, platform, userInfo } from 'node:os'

export interface Machine {
  readonly platform: NodeJS.Platform
  readonly hostname: string
  readonly isRoot: boolean
  readonly home: string
  readonly etc: string
}

export function thisMachine(): Machine {
  return {
    platform: platform(),
    hostname: hostname(),
    isRoot: ownUid() === 0,
    home: orElse(homedir, '/'),
    etc: '/etc',
  }
}

/** The user id of this process, or -1 if it is unknown. */
export function ownUid(): number {
  return orElse(() => userInfo().uid, -1)
}

export function ownUsername(): string {
  return orElse(() => userInfo().username, 'unknown')
}

// `homedir` and `userInfo` throw for a user that is missing in /etc/passwd, which is common in containers.
function orElse<T>(ask: () => T, fallback: T): T {
  try {
    return ask()
  } catch {
    return fallback
  }
}
