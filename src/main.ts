#!/usr/bin/env node
// The process: arguments and environment in, exit code out. The only file that touches `process`.

import process from 'node:process'
import { runCli } from './commands/cli.ts'
import type { World } from './commands/world.ts'

const world: World = {
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(signals, listener) {
    for (const signal of signals) process.on(signal, listener)
    return () => {
      for (const signal of signals) process.off(signal, listener)
    }
  },
}

// A reader that went away (`… | head`) is no reason to print a stack trace, and while we serve none to stop: transfers
// matter more than the log. A server is what listens for SIGTERM.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (process.listenerCount('SIGTERM') === 0) process.exit(error.code === 'EPIPE' ? 0 : 1)
})

// A bug has left the process in a state nobody knows. Transfers in flight may finish; then whoever started us starts
// us again.
const failure = { hasHappened: false }
process.on('uncaughtException', (error) => {
  process.stderr.write(`registry-sidecar: ${error.stack ?? error.message}\n`)
  if (failure.hasHappened) process.exit(1)
  failure.hasHappened = true
  if (process.listenerCount('SIGTERM') === 0) process.exit(1)
  process.emit('SIGTERM')
})

const code = await runCli(process.argv.slice(2), world)
process.exit(failure.hasHappened ? 1 : code)
