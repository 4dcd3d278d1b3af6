#!/usr/bin/env node
// Runs the command line and exits with its code.
//
// No other file touches `process`.

import { subscribe } from 'node:diagnostics_channel'
import process from 'node:process'
import { setFlagsFromString } from 'node:v8'
import type { Worker } from 'node:worker_threads'
import type { World } from './app/world.ts'

keepHeapSmall()
subscribe('worker_threads', (message) => {
  // Node 20 resets the flags when a thread starts.
  const { worker } = message as { readonly worker: Worker }
  worker.once('online', keepHeapSmall)
})

const bug = { hasHappened: false }
const bugListeners = new Set<(error: Error) => void>()

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
  onUncaughtError(listener) {
    bugListeners.add(listener)
    return () => bugListeners.delete(listener)
  },
}

// If the reader of the output leaves (`… | head`), a command exits without an error. A server has a SIGTERM listener.
// It continues, because transfers matter more than the log.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (process.listenerCount('SIGTERM') === 0) process.exit(error.code === 'EPIPE' ? 0 : 1)
})

// After a bug the state of the process is unknown. So a server drains and exits; the supervisor restarts it.
process.on('uncaughtException', (error) => {
  process.stderr.write(`registry-sidecar: ${error.stack ?? error.message}\n`)
  if (bug.hasHappened || process.listenerCount('SIGTERM') === 0) process.exit(1)
  bug.hasHappened = true
  for (const listener of bugListeners) listener(error)
  // A command that only listens to signals cleans up and ends.
  if (bugListeners.size === 0) process.emit('SIGTERM', 'SIGTERM')
})

const { runCli } = await import('./cli/cli.ts')
const code = await runCli(process.argv.slice(2), world)
process.exit(bug.hasHappened ? 1 : code)

// V8 reads these flags each time it needs them, so Node needs no arguments. They are set before other code is loaded,
// because loading makes the heap grow.
function keepHeapSmall(): void {
  // The space for new objects would grow to 32 MiB, and that memory stays resident.
  setFlagsFromString('--semi-space-growth-factor=1')
  // Collects garbage when the heap has doubled. V8 would let it grow fourfold. The CPU time is the same (measured).
  setFlagsFromString('--heap-growing-percent=100')
  // Frees the memory of finished compilations at once. V8 would leave this to a background thread, and 8 MiB stayed in
  // use under load (measured). Node 20 does not know the flag, and V8 prints an error for an unknown flag.
  if (process.versions.node.startsWith('24.')) setFlagsFromString('--no-maglev-destroy-on-background')
}
