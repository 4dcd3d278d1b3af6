import { hashSync } from 'bcryptjs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createBcryptPool, type BcryptPool } from '../../src/auth/bcrypt-pool.ts'
import { startedThreads } from '../fixtures/started-threads.ts'

const HASH = hashSync('right', 4)
const RIGHT = { password: 'right', hashes: [HASH], dummyHashes: [] }
const WRONG = { password: 'wrong', hashes: [HASH], dummyHashes: [] }

function openPool(idleTimeoutMs?: number): BcryptPool {
  const pool = createBcryptPool(idleTimeoutMs === undefined ? {} : { idleTimeoutMs })
  onTestFinished(() => pool.close())
  return pool
}

describe('a thread', () => {
  it('starts at the first check, ends when it is idle, and starts again at the next check', async () => {
    const threads = startedThreads()
    const pool = openPool(50)
    expect(threads).toHaveLength(0)

    expect(await pool.compare(RIGHT)).toBe(0)
    expect(threads).toHaveLength(1)
    await threads[0]?.ended

    expect(await pool.compare(WRONG)).toBe(-1)
    expect(threads).toHaveLength(2)
    await threads[1]?.ended
  })

  it('checks several passwords before it ends', async () => {
    const threads = startedThreads()
    const pool = openPool()
    for (const comparison of [RIGHT, WRONG, RIGHT]) await pool.compare(comparison)
    expect(threads).toHaveLength(1)
  })
})

describe('close', () => {
  it('waits for a check that is running, because its thread may still load modules', async () => {
    const threads = startedThreads()
    const pool = openPool()
    const check = pool.compare(RIGHT)
    await pool.close()
    expect(await check).toBe(0)
    await Promise.all(threads.map(({ ended }) => ended))
  })

  it('starts no thread for a check that comes later', async () => {
    const threads = startedThreads()
    const pool = openPool()
    await pool.close()
    expect(await pool.compare(RIGHT)).toBe('busy')
    expect(threads).toHaveLength(0)
    expect(pool.comparisons).toBe(0)
  })
})
