// Clients as processes of their own, so that none measures how busy another one is: a task goes in as an argument, a
// report comes out on stdout, both JSON.

import path from 'node:path'
import { runChild } from '../children.ts'

/** Runs a client of this folder to its end. `niceness` 19 leaves the processor to everybody else. */
export async function runClient<Report>(name: string, task: object, niceness = 0): Promise<Report> {
  const file = path.join(import.meta.dirname, `${name}.ts`)
  const node = [process.execPath, '--import', 'tsx', file, JSON.stringify(task)] as const
  return JSON.parse(await runChild(['nice', '-n', String(niceness), ...node])) as Report
}
