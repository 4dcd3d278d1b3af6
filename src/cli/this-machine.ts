import { homedir, hostname, platform, userInfo } from 'node:os'

/** The machine a command runs on, as far as commands treat machines differently. Tests make their own. */
export interface Machine {
  readonly platform: NodeJS.Platform
  readonly hostname: string
  readonly isRoot: boolean
  /** The home folder of whoever runs this. */
  readonly home: string
  /** The folder of the system's settings: `/etc`. */
  readonly etc: string
}

/** The machine this process runs on. */
export function thisMachine(): Machine {
  return {
    platform: platform(),
    hostname: hostname(),
    isRoot: ownUid() === 0,
    home: orElse(homedir, '/'),
    etc: '/etc',
  }
}

/** The user id of this process, or -1 where the system does not tell. */
export function ownUid(): number {
  return orElse(() => userInfo().uid, -1)
}

// Both throw for a user whom /etc/passwd does not know, which is usual in containers.
function orElse<T>(ask: () => T, fallback: T): T {
  try {
    return ask()
  } catch {
    return fallback
  }
}
