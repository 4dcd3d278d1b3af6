// Renders a state with a color and a symbol.

import { html } from 'hono/html'
import type { Html } from '../document.ts'

export type Level = 'good' | 'warn' | 'bad'

// Each level has a symbol too, because not everyone can distinguish the colors.
const SYMBOLS: Readonly<Record<Level, string>> = { good: '✓', warn: '▲', bad: '✕' }

export function renderLevel(level: Level, text: string): Html {
  return html`<span class="state ${level}"><span aria-hidden="true">${SYMBOLS[level]}</span> ${text}</span>`
}

const GOOD: readonly string[] = ['done', 'ok']

export function renderOutcome(outcome: string): Html {
  return renderLevel(GOOD.includes(outcome) ? 'good' : 'bad', outcome.replaceAll('-', ' '))
}
