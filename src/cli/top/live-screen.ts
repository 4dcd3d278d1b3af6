// Redraws the live status each second until a signal arrives.

import type { ExitCode, World } from '../../app/world.ts'
import { CommandError } from '../../errors/errors.ts'
import type { FetchedStatus } from './fetch-status.ts'
import { printable } from '../printable.ts'
import { statusLines } from './status-lines.ts'

export interface LiveSource {
  readonly first: FetchedStatus
  readonly fetch: () => Promise<FetchedStatus>
}

const EVERY_MS = 1_000

// Private modes of xterm. The alternate screen preserves the earlier text of the terminal.
const ENTER = '\x1b[?1049h\x1b[?25l'
const LEAVE = '\x1b[?25h\x1b[?1049l'
const TO_START = '\x1b[H'
const CLEAR_LINE = '\x1b[K'
const CLEAR_REST = '\x1b[J'

const MIN_ROWS = 3
const TABLES = 4
// Each table has an empty line, a title and a head.
const LINES_PER_TABLE = 3

export function showLive({ stdout, onSignal }: World, { first, fetch }: LiveSource): Promise<ExitCode> {
  let last = first
  let problem: string | undefined

  function draw(): void {
    const { columns = 80, rows = 24 } = stdout
    const lines = [
      ...linesOf(last, { columns, rows }),
      ...(problem === undefined ? [] : ['', printable(problem)]),
    ]
    const shown =
      problem === undefined ? lines.slice(0, rows - 1) : [...lines.slice(0, rows - 3), ...lines.slice(-2)]
    stdout.write(`${TO_START}${shown.map((line) => `${line}${CLEAR_LINE}\r\n`).join('')}${CLEAR_REST}`)
  }

  async function update(): Promise<void> {
    try {
      last = await fetch()
      problem = undefined
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      problem = `${error.message}; trying again`
    }
  }

  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    let isOver = false
    const ignoreSignals = onSignal(['SIGINT', 'SIGTERM', 'SIGHUP'], () => {
      end()
      resolve(0)
    })
    stdout.on('resize', draw)
    stdout.write(ENTER)
    draw()
    scheduleUpdate()

    function scheduleUpdate(): void {
      timer = setTimeout(() => {
        update().then(
          () => {
            if (isOver) return
            draw()
            scheduleUpdate()
          },
          (error: unknown) => {
            end()
            reject(error instanceof Error ? error : new Error(String(error)))
          },
        )
      }, EVERY_MS)
    }

    function end(): void {
      isOver = true
      clearTimeout(timer)
      ignoreSignals()
      stdout.off('resize', draw)
      stdout.write(LEAVE)
    }
  })
}

function linesOf({ snapshot }: FetchedStatus, terminal: { readonly columns: number; readonly rows: number }) {
  const head = Object.keys(snapshot.parts).length + LINES_PER_TABLE
  const left = terminal.rows - head - TABLES * LINES_PER_TABLE
  const rows = Math.max(MIN_ROWS, Math.floor(left / TABLES))
  return statusLines(snapshot, { columns: terminal.columns, rows })
}
