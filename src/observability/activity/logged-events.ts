// Finds refusals and changes in lines of the log.

import type { EventName } from '../log-events.ts'
import { causeOf, LOGGED_CHANGES } from '../logged-changes.ts'
import type { LoggedFields } from '../watched-log.ts'
import type { Refusal, StatusChange } from '../status-snapshot.ts'
import { shortText } from './short-text.ts'

/** Returns undefined if the line reports no refusal. */
export function refusalOf(fields: LoggedFields, sentence: string): Omit<Refusal, 'at'> | undefined {
  const count = typeof fields['count'] === 'number' ? fields['count'] : 1
  switch (fields.event) {
    case 'login-refused': {
      const names = { address: textOf(fields['address']), user: textOf(fields['user']) }
      return { kind: 'login', status: undefined, reason: textOf(fields['reason']) ?? sentence, count, names }
    }
    case 'limit-reached':
    case 'file-descriptors-exhausted':
      return {
        kind: 'limit',
        status: undefined,
        reason: sentence,
        count,
        names: { detail: textOf(fields['who']) },
      }
    default:
      return undefined
  }
}

// A reload may change many users. The line `users-loaded` reports these changes together.
const REPORTED_TOGETHER: ReadonlySet<EventName> = new Set<EventName>([
  'user-added',
  'user-removed',
  'user-changed',
  'machine-password-added',
  'machine-password-removed',
])

/** Returns undefined if the line reports no change. */
export function changeOf(fields: LoggedFields): StatusChange | undefined {
  const { event, file } = fields
  const change = LOGGED_CHANGES[event]
  if (change === undefined || REPORTED_TOGETHER.has(event)) return undefined
  const detail = [file, causeOf(fields)].filter((text) => typeof text === 'string').join(': ')
  const names = detail === '' ? {} : { names: { detail: shortText(detail, MAX_DETAIL) } }
  return { at: new Date().toISOString(), event, outcome: change.outcome, ...names }
}

const MAX_DETAIL = 512

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
