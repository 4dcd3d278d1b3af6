// Moves a complete build from dist.new to dist.
// A running sidecar still imports the chunks of its version, so old chunks stay. Their age does not say whether a process
// uses them, because a sidecar may run for months. While no sidecar runs, `dist` can be removed before a build.

import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'

mkdirSync('dist', { recursive: true })
chmodSync('dist.new/main.js', 0o755)
// main.js names the chunks of its version, so they are there before it.
const others = readdirSync('dist.new').filter((name) => name !== 'main.js')
for (const name of [...others, 'main.js']) renameSync(`dist.new/${name}`, `dist/${name}`)
rmSync('dist.new', { recursive: true })
