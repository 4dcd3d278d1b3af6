// Prints what takes space in images of the sidecar: `npm run image:sizes -- IMAGE…`.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { docker } from '../fixtures/engine.ts'

const PARTS = ['Program', 'Packages', 'Node', 'Rest of the base'] as const
type Part = (typeof PARTS)[number]

const images = process.argv.length > 2 ? process.argv.slice(2) : ['registry-sidecar']
process.stdout.write(`| Image | ${PARTS.join(' | ')} | Sum |\n|---|${'--:|'.repeat(PARTS.length + 1)}\n`)
for (const image of images) process.stdout.write(`${row(image, await sizesOf(image))}\n`)

function row(image: string, sizes: Readonly<Record<Part, number>>): string {
  const sum = Object.values(sizes).reduce((total, size) => total + size, 0)
  const cells = [...PARTS.map((part) => sizes[part]), sum].map((bytes) => `${(bytes / 1e6).toFixed(1)} MB`)
  return `| \`${image}\` | ${cells.join(' | ')} |`
}

/** Lists the files in place of layers, because a base without a shell has no program that could. */
async function sizesOf(image: string): Promise<Readonly<Record<Part, number>>> {
  const sizes = { Program: 0, Packages: 0, Node: 0, 'Rest of the base': 0 }
  const container = (await docker(['create', image])).stdout.trim()
  try {
    const listing = spawn('sh', ['-c', 'docker export "$1" | tar -tv', 'sh', container])
    const ended = once(listing, 'close')
    for await (const line of createInterface({ input: listing.stdout })) {
      // Mode, owner, size, date, time, name.
      const [, , size = '0', , , name = ''] = line.split(/\s+/)
      sizes[partOf(name)] += Number(size)
    }
    const [code] = (await ended) as [number]
    if (code !== 0) throw new Error(`the files of ${image} cannot be listed`)
  } finally {
    await docker(['rm', '-v', container])
  }
  return sizes
}

function partOf(name: string): Part {
  if (name.startsWith('app/node_modules/')) return 'Packages'
  if (name.startsWith('app/')) return 'Program'
  return /(?:^|\/)bin\/node$/.test(name) ? 'Node' : 'Rest of the base'
}
