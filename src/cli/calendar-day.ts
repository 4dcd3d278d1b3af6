// Formats a day.

/** A point in time as its day in UTC, `2026-02-28`. */
export function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10)
}
