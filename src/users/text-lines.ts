// Decodes bytes into lines of text.

import { isUtf8 } from 'node:buffer'

const BYTE_ORDER_MARK = Buffer.from('\ufeff')
const LINE_FEED = 10

/** Yields undefined for a line that is not UTF-8. Decoding a large file at once would block every transfer. */
export function* linesOf(bytes: Buffer): Generator<string | undefined> {
  let start = startsWith(bytes, BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0
  while (start < bytes.length) {
    const found = bytes.indexOf(LINE_FEED, start)
    const end = found < 0 ? bytes.length : found
    const line = bytes.subarray(start, end)
    yield isUtf8(line) ? line.toString() : undefined
    start = end + 1
  }
}

export function isUtf16(bytes: Buffer): boolean {
  if (startsWith(bytes, Buffer.from([0xff, 0xfe])) || startsWith(bytes, Buffer.from([0xfe, 0xff])))
    return true
  const nulls = Array.from(bytes.subarray(0, 4), (byte) => (byte === 0 ? '0' : 'x')).join('')
  return nulls === '0x0x' || nulls === 'x0x0'
}

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.subarray(0, prefix.length).equals(prefix)
}
