// Begins and ends the freeze of one command in the freeze file.

import { stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { CommandError, errorCode, errorMessage } from '../../errors/errors.ts'
import { withFileLock } from '../../files/file-lock.ts'
import {
  createFreeze,
  freezeFileIn,
  isoTime,
  isOver,
  readFreeze,
  writeFreeze,
  writeThaw,
  type Freeze,
} from '../../freeze/freeze-file.ts'
import { printable } from '../printable.ts'
import { ownUsername } from '../this-machine.ts'

export interface FreezePlace {
  readonly stateDir: string
}

export interface OwnFreeze extends FreezePlace {
  readonly freeze: Freeze
}

export interface Beginning {
  readonly frozenForMs: number
  readonly runsProgram: boolean
}

/** Rejects with a CommandError if the file cannot be written, or if another `freeze` runs a program. */
export async function beginFreeze(
  { stateDir }: FreezePlace,
  { frozenForMs, runsProgram }: Beginning,
): Promise<OwnFreeze> {
  const since = Date.now()
  const freeze = createFreeze({ since, until: since + frozenForMs, by: userAtHost(), runsProgram })
  await edit(stateDir, async (file) => {
    const present = await readFreeze(file, since)
    if (present?.runsProgram === true) throw new CommandError(programRunsMessage(present))
    await writeFreeze(file, freeze)
  })
  return { stateDir, freeze }
}

// When that program ends, its command thaws. This command would not notice.
function programRunsMessage({ by, until }: Freeze): string {
  return (
    `${printable(by)} runs a program in a freeze until ${isoTime(until)}; wait until the program ends, ` +
    'or run `registry-sidecar thaw` if the program no longer runs'
  )
}

/** From now on, writes of running pushes wait too. */
export async function holdEverything({ stateDir, freeze }: OwnFreeze): Promise<void> {
  await edit(stateDir, async (file) => {
    if (await isInForce(file, freeze)) await writeFreeze(file, { ...freeze, holds: 'all' })
  })
}

/** Does nothing if the freeze has ended, or if another command has begun a new freeze. */
export async function endFreeze({ stateDir, freeze }: OwnFreeze): Promise<void> {
  await edit(stateDir, async (file) => {
    if (await isInForce(file, freeze)) await writeThaw(file, { at: Date.now(), by: userAtHost() })
  })
}

/** Resolves to the freeze that was in force. Rejects with a CommandError. */
export async function endAnyFreeze({ stateDir }: FreezePlace): Promise<Freeze | undefined> {
  const ended: { freeze?: Freeze | undefined } = {}
  await edit(stateDir, async (file) => {
    const at = Date.now()
    ended.freeze = await readFreeze(file, at)
    await writeThaw(file, { at, by: userAtHost() })
  })
  return ended.freeze
}

/** Whether the freeze has neither ended nor been replaced. */
export async function isOwnInForce({ stateDir, freeze }: OwnFreeze): Promise<boolean> {
  return isInForce(freezeFileIn(stateDir), freeze)
}

async function isInForce(file: string, freeze: Freeze): Promise<boolean> {
  const now = Date.now()
  return !isOver(freeze, now) && (await readFreeze(file, now))?.id === freeze.id
}

async function edit(stateDir: string, change: (file: string) => Promise<void>): Promise<void> {
  const file = freezeFileIn(stateDir)
  try {
    // If the folder is missing, this command has another state folder than the sidecar.
    await stat(stateDir)
    await withFileLock(file, () => change(file))
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new CommandError(`${file} cannot be written: ${reasonOf(error)}`, { cause: error })
  }
}

function reasonOf(error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOENT':
      return 'this folder does not exist; set SIDECAR_STATE_DIR to the state folder of the running sidecar'
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `run the command as the user of the sidecar (${errorMessage(error)})`
    default:
      return errorMessage(error)
  }
}

function userAtHost(): string {
  return `${ownUsername()}@${hostname()}`
}
