// Collects small request bodies within limits of size, memory and time.

import type { IncomingMessage } from 'node:http'

export type Collected =
  /** Call `release` once, when the bytes are no longer needed. */
  | { readonly kind: 'whole'; readonly bytes: Buffer; readonly release: () => void }
  | { readonly kind: Failure }

type Failure = 'too-large' | 'too-slow' | 'out-of-memory' | 'broken-off'

export interface BodyLimits {
  readonly maxBytes: number
  readonly maxTotalBytes: number
  readonly timeoutMs: number
}

export interface BodyCollector {
  collect(incoming: IncomingMessage): Promise<Collected>
  readonly bytesInUse: number
}

export function createBodyCollector({ maxBytes, maxTotalBytes, timeoutMs }: BodyLimits): BodyCollector {
  let bytesInUse = 0
  const take = (bytes: number): boolean => {
    if (bytesInUse + bytes > maxTotalBytes) return false
    bytesInUse += bytes
    return true
  }
  return {
    collect: async (incoming) => {
      const body = createGrowingBuffer({ maxBytes, take })
      const ending = await readInto(body, incoming, { maxBytes, timeoutMs })
      const release = (): void => {
        bytesInUse -= body.capacity
      }
      if (ending === 'whole') return { kind: ending, bytes: body.bytes(), release }
      release()
      return { kind: ending }
    },
    get bytesInUse() {
      return bytesInUse
    },
  }
}

/** Resolves when the body is in `body`, or will not be. The rest of the body stays unread. */
function readInto(
  body: GrowingBuffer,
  incoming: IncomingMessage,
  { maxBytes, timeoutMs }: Omit<BodyLimits, 'maxTotalBytes'>,
): Promise<'whole' | Failure> {
  const announced = incoming.headers['content-length']
  if (Number(announced ?? 0) > maxBytes) return Promise.resolve('too-large')
  // 'close' has passed.
  if (incoming.destroyed) return Promise.resolve('broken-off')
  return new Promise((resolve) => {
    const timer = setTimeout(finish, timeoutMs, 'too-slow')
    incoming.on('data', onData)
    incoming.once('end', onEnd)
    incoming.once('close', onClose)
    // 'close' follows.
    incoming.on('error', () => undefined)

    function onData(chunk: Buffer): void {
      const failure = body.add(chunk)
      if (failure !== undefined) finish(failure)
    }

    function onEnd(): void {
      const isWhole = incoming.complete && Number(announced ?? body.length) === body.length
      finish(isWhole ? 'whole' : 'broken-off')
    }

    function onClose(): void {
      finish('broken-off')
    }

    function finish(ending: 'whole' | Failure): void {
      clearTimeout(timer)
      incoming.off('data', onData)
      incoming.off('end', onEnd)
      incoming.off('close', onClose)
      resolve(ending)
    }
  })
}

interface GrowingBuffer {
  readonly length: number
  readonly capacity: number
  bytes(): Buffer
  add(chunk: Buffer): 'too-large' | 'out-of-memory' | undefined
}

interface Memory {
  readonly maxBytes: number
  readonly take: (bytes: number) => boolean
}

// Threat: announcing a length costs a client nothing, so memory is taken only for bytes that have arrived.
const FIRST_BYTES = 64 * 1024

// Threat: a chunk of one byte is an object of 200 bytes, so chunks are copied and not kept.
function createGrowingBuffer({ maxBytes, take }: Memory): GrowingBuffer {
  let buffer = Buffer.alloc(0)
  let length = 0
  return {
    get length() {
      return length
    },
    get capacity() {
      return buffer.length
    },
    bytes: () => buffer.subarray(0, length),
    add(chunk) {
      const needed = length + chunk.length
      if (needed > maxBytes) return 'too-large'
      if (needed > buffer.length) {
        const larger = Math.min(maxBytes, Math.max(needed, FIRST_BYTES, 2 * buffer.length))
        if (!take(larger - buffer.length)) return 'out-of-memory'
        const former = buffer
        buffer = Buffer.allocUnsafeSlow(larger)
        former.copy(buffer, 0, 0, length)
      }
      length += chunk.copy(buffer, length)
      return undefined
    },
  }
}
