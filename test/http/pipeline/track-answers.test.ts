import type { IncomingMessage, ServerResponse } from 'node:http'
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { openConnection } from '../../../src/http/connections/connection.ts'
import { trackAnswers } from '../../../src/http/pipeline/track-answers.ts'

it('frees an answer that never closes together with its connection', async () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  const track = trackAnswers({ report: () => undefined, transfers: { end: () => undefined } })
  const handler = track(() => undefined)
  const abandoned = (() => {
    const socket = new Socket()
    Object.defineProperty(socket, 'remoteAddress', { value: '192.0.2.1' })
    openConnection(socket, { clientCas: { isReplaced: false }, isProxy: () => false })
    const outgoing = new EventEmitter() as unknown as ServerResponse
    handler({ socket } as unknown as IncomingMessage, outgoing)
    return new WeakRef(outgoing)
  })()
  // A reference that was just made is kept until the turn is over.
  await nextTurn()
  collectGarbage()
  expect(abandoned.deref()).toBeUndefined()
})
