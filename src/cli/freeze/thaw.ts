// Runs `thaw`: ends the freeze of all sidecars of a state folder.

import type { ExitCode, World } from '../../app/world.ts'
import { isoTime } from '../../freeze/freeze-file.ts'
import { printableJson } from '../printable.ts'
import { endAnyFreeze, type FreezePlace } from './own-freeze.ts'

export interface ThawRequest extends FreezePlace {
  readonly json: boolean
}

/** Exit code 0 also if nothing was frozen. */
export async function thaw(request: ThawRequest, { stdout }: World): Promise<ExitCode> {
  const freeze = await endAnyFreeze(request)
  const text = freeze === undefined ? 'nothing was frozen' : 'thawed: pushes go on'
  const facts = freeze === undefined ? {} : { since: isoTime(freeze.since), by: freeze.by }
  const json = JSON.stringify({ action: 'thawed', wasFrozen: freeze !== undefined, ...facts })
  stdout.write(`${request.json ? printableJson(json) : text}\n`)
  return 0
}
