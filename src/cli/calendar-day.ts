// Formats a day.

/** Returns the day in UTC, as in `2026-02-28`. */
export function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10)
}
