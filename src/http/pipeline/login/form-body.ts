// Reads the form of a token request, within limits.

import type { IncomingMessage } from 'node:http'
import { refusal, type Refusal } from '../../refusals.ts'

/** Real forms are smaller than 4 KiB. */
export const MAX_FORM_BYTES = 64 * 1024

// Threat: slow bodies hold their connections and memory.
const DEADLINE_MS = 10_000

const FORM = /^application\/x-www-form-urlencoded(?:\s*;|\s*$)/i

export type FormBody =
  | { readonly kind: 'form'; readonly text: string }
  | { readonly kind: 'refused'; readonly answer: Refusal }
  | { readonly kind: 'gone' }

export function readForm(incoming: IncomingMessage, deadlineMs = DEADLINE_MS): Promise<FormBody> {
  const { 'content-length': length, 'transfer-encoding': coding, 'content-type': type } = incoming.headers
  const isEmpty = coding === undefined && Number(length ?? 0) === 0
  if (!isEmpty && !FORM.test(type ?? '')) return refused(WRONG_TYPE)
  if (Number(length ?? 0) > MAX_FORM_BYTES) return refused(TOO_LARGE)
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const timer = setTimeout(() => {
      finish({ kind: 'refused', answer: TOO_SLOW })
    }, deadlineMs)
    incoming.on('data', onData)
    incoming.once('end', onEnd)
    incoming.once('close', onClose)
    // If the client leaves, 'error' and then 'close' follow.
    incoming.on('error', ignore)

    function onData(chunk: Buffer): void {
      bytes += chunk.length
      chunks.push(chunk)
      if (bytes > MAX_FORM_BYTES) finish({ kind: 'refused', answer: TOO_LARGE })
    }
    function onEnd(): void {
      finish({ kind: 'form', text: Buffer.concat(chunks).toString('utf8') })
    }
    function onClose(): void {
      finish({ kind: 'gone' })
    }
    function finish(outcome: FormBody): void {
      clearTimeout(timer)
      incoming.off('data', onData)
      incoming.off('end', onEnd)
      incoming.off('close', onClose)
      incoming.pause()
      resolve(outcome)
    }
  })
}

const WRONG_TYPE = refusal(
  'wrongType',
  'the body of a token request is a form: application/x-www-form-urlencoded',
)
const TOO_LARGE = refusal('tooLarge', `the form is larger than ${MAX_FORM_BYTES / 1024} KiB`)
const TOO_SLOW: Refusal = { ...refusal('tooSlow', 'the form came too slowly'), closes: true }

function refused(answer: Refusal): Promise<FormBody> {
  return Promise.resolve({ kind: 'refused', answer })
}

const ignore = (): void => undefined
