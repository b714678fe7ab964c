/** Texts in columns, for terminals. */

/**
 * One line per row, columns padded to their widest cell and two spaces apart. Control characters, which a cell from
 * outside could move the cursor with, become spaces; a column that is empty in all rows but the first is left out.
 */
export function columns(rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map((cell) => cell.replace(/\p{C}/gu, ' ')));
  const used = (clean[0] ?? []).map((_, at) => clean.slice(1).some((row) => row[at] !== ''));
  const kept = clean.map((row) => row.filter((_, at) => used[at]));
  const widths = (kept[0] ?? []).map((_, at) => Math.max(...kept.map((row) => row[at]?.length ?? 0)));
  const lines = kept.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}
