// Gives snapshots of the live status to pages and programs.
// Threat: anyone who reaches the admin address can send many requests at once. So these requests share one snapshot.

import { shareInFlight } from '../../async/in-flight.ts'
import type { StatusSnapshot } from '../../observability/status-snapshot.ts'
import { withoutNames } from '../../observability/without-names.ts'
import type { StatusPlace } from '../pages/status-page.ts'
import { STATUS_HEADERS } from './status-headers.ts'

/** `anyone` has no login, and so gets no names. */
export type Audience = 'users' | 'anyone'

export type Sections = Readonly<Record<string, string>>

export interface RenderedPage {
  readonly text: string
  readonly headers: Readonly<Record<string, string>>
}

export interface StatusSource {
  json(audience: Audience): Promise<string>
  page(audience: Audience, place: StatusPlace): Promise<RenderedPage>
  /** Renders the sections for each audience from one snapshot. */
  sections(audiences: ReadonlySet<Audience>): Promise<ReadonlyMap<Audience, Sections>>
}

export function createStatusSource(compose: () => Promise<StatusSnapshot>): StatusSource {
  const shareSnapshot = shareInFlight<StatusSnapshot>()
  const shareText = shareInFlight<string>()
  const sharePage = shareInFlight<RenderedPage>()
  const snapshot = async (audience: Audience) => viewOf(await shareSnapshot(compose), audience)

  return {
    json: (audience) =>
      shareText(async () => `${JSON.stringify(await snapshot(audience))}\n`, `json ${audience}`),
    page: (audience, place) =>
      sharePage(async () => {
        const { STATUS_PAGE_HEADERS, statusPage } = await loadStatusPage()
        const text = await statusPage(await snapshot(audience), place)
        return { text, headers: { ...STATUS_PAGE_HEADERS, ...STATUS_HEADERS } }
      }, `${audience} ${place.events}`),
    sections: async (audiences) => {
      const { statusSections } = await loadStatusPage()
      const whole = await shareSnapshot(compose)
      const rendered = [...audiences].map(
        async (audience) => [audience, await statusSections(viewOf(whole, audience))] as const,
      )
      return new Map(await Promise.all(rendered))
    },
  }
}

// Loaded on demand, because a sidecar that nobody watches does not need it.
function loadStatusPage() {
  return import('../pages/status-page.ts')
}

function viewOf(snapshot: StatusSnapshot, audience: Audience): StatusSnapshot {
  return audience === 'users' ? snapshot : withoutNames(snapshot)
}
