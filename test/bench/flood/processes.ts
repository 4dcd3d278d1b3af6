// Runs each client in its own process.
//
// Separate processes do not delay each other's measurements. The task is a JSON argument, the report is JSON on stdout.

import path from 'node:path'
import { runChild } from '../children.ts'

/** Runs a client of this folder. A `niceness` of 19 yields the processor to all other processes. */
export async function runClient<Report>(name: string, task: object, niceness = 0): Promise<Report> {
  const file = path.join(import.meta.dirname, `${name}.ts`)
  const node = [process.execPath, '--import', 'tsx', file, JSON.stringify(task)] as const
  return JSON.parse(await runChild(['nice', '-n', String(niceness), ...node])) as Report
}
