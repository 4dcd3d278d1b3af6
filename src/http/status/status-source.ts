// Gives snapshots of the live status to pages and programs.
// Threat: anyone who reaches the admin address can send many requests at once, so these share one snapshot.

import { shareInFlight } from '../../async/in-flight.ts'
import type { StatusSnapshot } from '../../observability/status-snapshot.ts'
import { withoutNames } from '../../observability/without-names.ts'
import { statusPage, statusSections, type StatusPlace } from '../pages/status-page.ts'

/** `anyone`: without a login, so without names. */
export type Audience = 'users' | 'anyone'

export type Sections = Readonly<Record<string, string>>

export interface StatusSource {
  json(audience: Audience): Promise<string>
  page(audience: Audience, place: StatusPlace): Promise<string>
  /** For several audiences from one snapshot. */
  sections(audiences: ReadonlySet<Audience>): Promise<ReadonlyMap<Audience, Sections>>
}

export function createStatusSource(compose: () => Promise<StatusSnapshot>): StatusSource {
  const shareSnapshot = shareInFlight<StatusSnapshot>()
  const shareText = shareInFlight<string>()
  const snapshot = async (audience: Audience) => viewOf(await shareSnapshot(compose), audience)

  return {
    json: (audience) =>
      shareText(async () => `${JSON.stringify(await snapshot(audience))}\n`, `json ${audience}`),
    page: (audience, place) =>
      shareText(async () => statusPage(await snapshot(audience), place), `page ${audience}`),
    sections: async (audiences) => {
      const whole = await shareSnapshot(compose)
      const rendered = [...audiences].map(
        async (audience) => [audience, await statusSections(viewOf(whole, audience))] as const,
      )
      return new Map(await Promise.all(rendered))
    },
  }
}

function viewOf(snapshot: StatusSnapshot, audience: Audience): StatusSnapshot {
  return audience === 'users' ? snapshot : withoutNames(snapshot)
}
