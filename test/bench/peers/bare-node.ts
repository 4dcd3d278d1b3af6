// Starts a minimal Node proxy as a peer.

import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { runChild, startChild } from '../children.ts'
import { startOnFreePort } from '../port.ts'
import type { Peer } from '../subject.ts'

const SERVER = path.join(import.meta.dirname, 'bare-node.mjs')

/** Shows how much of the sidecar's cost comes from Node. */
export function bareNodeOn(node: string): Peer {
  return {
    name: 'bare-node',
    about: "twenty lines of Node's `https` and `http` with pipes",
    program: node,
    version: async (program) => `Node ${(await runChild([program, '--version'])).trim().slice(1)}`,
    start: async (program, { folder, identity }, registryPort) => {
      const home = path.join(folder, 'bare-node')
      mkdirSync(home, { recursive: true })
      const logFile = path.join(home, 'log')
      const started = await startOnFreePort(
        (port) =>
          startChild([program, SERVER, String(port), String(registryPort), identity.leaf, identity.key], {
            logFile,
          }),
        logFile,
      )
      return { ...started, note: 'without login, log and care for faults' }
    },
  }
}
