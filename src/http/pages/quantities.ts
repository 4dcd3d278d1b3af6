// Writes bytes, rates, durations and times for people.

import { html } from 'hono/html'
import type { Html } from './document.ts'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** As in `12.3 MiB`. */
export function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0]
  // A value that would be rounded to 1024 gets the next unit.
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${value < 99.95 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit] ?? ''}`
}

export function rateText(bytesPerSecond: number): string {
  return `${bytesText(bytesPerSecond)}/s`
}

/** As in `1 h 5 min`. */
export function durationText(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 59.5) return `${Math.round(seconds)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${minutes % 60} min`
  return `${Math.round(hours / 24)} days`
}

/** Keeps its width while the digits change. */
export function renderNumber(text: string): Html {
  return html`<span class="number">${text}</span>`
}

/** Shows the date too, unless it is the date of `now`. Both are ISO 8601 in UTC. */
export function renderTime(at: string, now: string): Html {
  const [date, time] = [at.slice(0, 10), at.slice(11, 19)]
  const text = date === now.slice(0, 10) ? time : `${date} ${time}`
  return html`<time class="number" datetime="${at}">${text}</time>`
}

export function renderDate(at: string): Html {
  return html`<time class="number" datetime="${at}">${at.slice(0, 10)}</time>`
}
