// Tests that forms are read within limits of size and time.

import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { MAX_FORM_BYTES, readForm, type FormBody } from '../../../../src/http/pipeline/login/form-body.ts'

const DEADLINE_MS = 150

/** Sends these bytes after the head and resolves to what was read. `end` closes the connection after them. */
async function read(head: readonly string[], pieces: readonly string[], end = false): Promise<FormBody> {
  const server = http.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => undefined)
  onTestFinished(() => {
    socket.destroy()
    server.closeAllConnections()
    server.close()
  })
  const body = new Promise<FormBody>((resolve, reject) => {
    server.on('request', (incoming: http.IncomingMessage) => {
      readForm(incoming, DEADLINE_MS).then(resolve, reject)
    })
  })
  socket.write(['POST /token HTTP/1.1', 'Host: a', ...head, '', ''].join('\r\n'))
  for (const piece of pieces) socket.write(piece)
  if (end) socket.end()
  return body
}

const FORM = 'Content-Type: application/x-www-form-urlencoded'
const status = (body: FormBody): unknown => (body.kind === 'refused' ? body.answer.status : body)

it.each<[what: string, head: readonly string[], pieces: readonly string[], text: string]>([
  ['a form', [FORM, 'Content-Length: 3'], ['a=b'], 'a=b'],
  ['a form with a charset', [`${FORM}; charset=UTF-8`, 'Content-Length: 3'], ['a=b'], 'a=b'],
  ['a form in pieces', [FORM, 'Content-Length: 3'], ['a', '=', 'b'], 'a=b'],
  ['a chunked form', [FORM, 'Transfer-Encoding: chunked'], ['3\r\na=b\r\n0\r\n\r\n'], 'a=b'],
  ['no body', [], [], ''],
  ['an empty body of another type', ['Content-Type: text/plain', 'Content-Length: 0'], [], ''],
  [
    'the largest form',
    [FORM, `Content-Length: ${MAX_FORM_BYTES}`],
    ['a'.repeat(MAX_FORM_BYTES)],
    'a'.repeat(MAX_FORM_BYTES),
  ],
])('reads %s', async (_what, head, pieces, text) => {
  expect(await read(head, pieces)).toEqual({ kind: 'form', text })
})

it.each<[what: string, expected: number, head: readonly string[], pieces: readonly string[]]>([
  ['JSON', 415, ['Content-Type: application/json', 'Content-Length: 2'], ['{}']],
  ['a body without a type', 415, ['Content-Length: 2'], ['{}']],
  ['a type that only begins like a form', 415, [`${FORM}x`, 'Content-Length: 2'], ['{}']],
  ['a larger form, before it arrives', 413, [FORM, `Content-Length: ${MAX_FORM_BYTES + 1}`], []],
  [
    'chunks without end',
    413,
    [FORM, 'Transfer-Encoding: chunked'],
    [`${(MAX_FORM_BYTES + 1).toString(16)}\r\n${'a'.repeat(MAX_FORM_BYTES + 1)}\r\n`],
  ],
  ['a form that does not arrive', 408, [FORM, 'Content-Length: 3'], ['a']],
  ['chunks that stop', 408, [FORM, 'Transfer-Encoding: chunked'], ['1\r\na\r\n']],
])('refuses %s with %i', async (_what, expected, head, pieces) => {
  expect(status(await read(head, pieces))).toBe(expected)
})

it('notices that the client left', async () => {
  expect(await read([FORM, 'Content-Length: 3'], ['a'], true)).toEqual({ kind: 'gone' })
})
