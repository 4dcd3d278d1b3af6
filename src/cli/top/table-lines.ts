// Writes rows as aligned columns.

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string
}

export function tableLines<Row>(
  title: string,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  maxRows: number,
): readonly string[] {
  if (rows.length === 0) return [`${title}: none`]
  const shown = rows.slice(0, maxRows)
  const cells = [
    columns.map((column) => column.title),
    ...shown.map((row) => columns.map(({ cell }) => cell(row))),
  ]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)))
  const lines = cells.map(
    (line) => `  ${line.map((text, index) => text.padEnd(widths[index] ?? 0)).join('  ')}`,
  )
  const more = rows.length - shown.length
  return [`${title}${more > 0 ? ` (${more} more)` : ''}`, ...lines]
}
