import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { trackHandshakes } from '../../../src/http/connections/handshakes.ts'

it('keeps no answer that never closes, as those do that wait when their connection ends', async () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  const handler = trackHandshakes(createServer()).watch(() => undefined)
  const abandoned = (() => {
    const incoming = { socket: new EventEmitter() } as unknown as IncomingMessage
    const outgoing = new EventEmitter() as unknown as ServerResponse
    handler(incoming, outgoing)
    return new WeakRef(outgoing)
  })()
  // A reference that was just made is kept until the turn is over.
  await nextTurn()
  collectGarbage()
  expect(abandoned.deref()).toBeUndefined()
})
