// Creates the folder, user and certificate that all peers share.

import { hashSync } from 'bcryptjs'
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import path from 'node:path'

const MIB = 1024 * 1024
const BCRYPT_COST = 10

export interface User {
  readonly name: string
  readonly password: string
  readonly hash: string
}

export interface Blob {
  readonly file: string
  readonly digest: string
  readonly bytes: number
}

export interface Identity {
  readonly root: string
  readonly leaf: string
  readonly key: string
}

export interface Environment {
  readonly folder: string
  readonly user: User
  readonly usersFile: string
  /** The data of all registries of this run. */
  readonly dataFolder: string
  /** Files of the shared certificate, which the first sidecar issues. */
  readonly identity: Identity
}

export function createEnvironment(sizeMib: number): Environment {
  const folder = mkdtempSync(path.join(chooseParentFolder(sizeMib), 'registry-sidecar-bench-'))
  // Also runs after a failure or a signal.
  process.once('exit', () => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  })
  const password = randomBytes(12).toString('hex')
  // htpasswd writes $2y$, and every peer accepts it.
  const hash = hashSync(password, BCRYPT_COST).replace('$2b$', '$2y$')
  const usersFile = path.join(folder, 'users', 'htpasswd')
  mkdirSync(path.dirname(usersFile))
  writeFileSync(usersFile, `bench:${hash}\n`)
  const state = path.join(folder, 'state')
  return {
    folder,
    user: { name: 'bench', password, hash },
    usersFile,
    dataFolder: path.join(folder, 'data'),
    identity: {
      root: path.join(state, 'root.crt'),
      leaf: path.join(state, 'leaf.crt'),
      key: path.join(state, 'leaf.key'),
    },
  }
}

/** Writes an incompressible file that is different at every offset. */
export function writeBlob(environment: Environment, bytes: number): Blob {
  const file = path.join(environment.folder, `blob-${bytes}`)
  const block = randomBytes(Math.min(bytes, MIB))
  const hash = createHash('sha256')
  const descriptor = openSync(file, 'w')
  for (let at = 0; at < bytes; at += block.length) {
    block.writeUInt32BE(at / block.length)
    hash.update(block)
    writeSync(descriptor, block)
  }
  closeSync(descriptor)
  return { file, digest: `sha256:${hash.digest('hex')}`, bytes }
}

/** Prefers memory because the benchmark compares proxies, not disks. */
function chooseParentFolder(sizeMib: number): string {
  const needed = 6 * sizeMib * MIB
  try {
    const { bavail, bsize } = statfsSync('/dev/shm')
    return bavail * bsize > needed && freemem() > needed ? '/dev/shm' : tmpdir()
  } catch {
    return tmpdir()
  }
}
