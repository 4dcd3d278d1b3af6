// Sends changed sections of the status page to viewers, each second.

import type { ServerResponse } from 'node:http'
import type { Log } from '../../observability/log.ts'
import { openEventStream, type EventStream } from './event-stream.ts'
import type { Audience, Sections, StatusSource } from './status-source.ts'

export interface Viewer {
  readonly audience: Audience
  /** Undefined without a login. */
  readonly user: string | undefined
  readonly outgoing: ServerResponse
  /** Called each second. The stream ends if it returns false. */
  readonly mayWatch: () => boolean
}

export interface LiveStatus {
  /** Returns `refused` if too many viewers watch, or if the sidecar stops. */
  watch(viewer: Viewer): 'watching' | 'refused'
  /** Ends all streams. */
  close(): void
}

export interface LiveStatusOptions {
  readonly source: Pick<StatusSource, 'sections'>
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number
  readonly log: Log
}

const EVERY_MS = 1_000
const MAX_VIEWERS: Readonly<Record<Audience, number>> = { users: 32, anyone: 16 }
const MAX_VIEWERS_PER_USER = 8

const NOTHING: Sections = {}

interface Watching extends Viewer {
  readonly stream: EventStream
  shown: Sections
}

export function createLiveStatus({ source, clock, log }: LiveStatusOptions): LiveStatus {
  const viewers = new Set<Watching>()
  let timer: NodeJS.Timeout | undefined
  let isUpdating = false
  let isClosed = false

  function checkViewers(): void {
    for (const viewer of viewers) {
      if (viewer.mayWatch()) viewer.stream.keepAlive()
      else end(viewer)
    }
    // A slow update delays the next update, but not the check above.
    if (!isUpdating && viewers.size > 0) void update()
  }

  async function update(): Promise<void> {
    isUpdating = true
    try {
      const sections = await source.sections(new Set([...viewers].map(({ audience }) => audience)))
      for (const [audience, next] of sections) {
        const frameSince = createFrames(next)
        for (const viewer of viewers) {
          if (viewer.audience === audience && viewer.mayWatch()) show(viewer, next, frameSince(viewer.shown))
        }
      }
    } catch (error) {
      log.error({ event: 'status-not-sent', err: error }, 'unexpected error in the live status')
      endAll()
    } finally {
      isUpdating = false
    }
  }

  function endAll(): void {
    for (const viewer of viewers) end(viewer)
  }

  // Threat: the response of a client that does not read stays open. So the next event must not be written to it.
  function end(viewer: Watching): void {
    viewer.stream.end()
    viewers.delete(viewer)
    if (viewers.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    watch: (viewer) => {
      const { outgoing } = viewer
      if (isClosed || !hasRoom([...viewers], viewer)) return 'refused'
      const watching = { ...viewer, stream: openEventStream(outgoing, clock), shown: NOTHING }
      viewers.add(watching)
      outgoing.once('close', () => {
        end(watching)
      })
      // The timer runs only while there are viewers.
      timer ??= setInterval(checkViewers, EVERY_MS).unref()
      if (viewers.size === 1) checkViewers()
      return 'watching'
    },
    close: () => {
      isClosed = true
      endAll()
    },
  }
}

function hasRoom(viewers: readonly Viewer[], { audience, user }: Viewer): boolean {
  const same = viewers.filter((viewer) => viewer.audience === audience)
  if (same.length >= MAX_VIEWERS[audience]) return false
  return user === undefined || same.filter((viewer) => viewer.user === user).length < MAX_VIEWERS_PER_USER
}

function show(viewer: Watching, next: Sections, frame: string | undefined): void {
  if (frame === undefined || viewer.stream.send(frame) === 'sent') viewer.shown = next
}

/** Makes one frame for all viewers that show the same sections. */
function createFrames(next: Sections): (shown: Sections) => string | undefined {
  const frames = new Map<Sections, string | undefined>()
  return (shown) => {
    if (!frames.has(shown)) frames.set(shown, frameOf(shown, next))
    return frames.get(shown)
  }
}

/** Undefined if no section changed. */
function frameOf(shown: Sections, next: Sections): string | undefined {
  const changed = Object.entries(next).filter(([id, html]) => shown[id] !== html)
  return changed.length === 0 ? undefined : JSON.stringify(Object.fromEntries(changed))
}
