/** A line of a comment that begins an error: "CODE / REASON, REASON – when – what to do". */
const BEGINS = /^\s+[A-Z][A-Z_]+ \/ /;

/** Parts the comment of a method into its text and its errors, as Markdown. */
export function errorTable(comment: string): { text: string; errors: string[] } {
  const [text = '', listed] = comment.split(/\n\s*\nErrors:/);
  if (listed === undefined) return { text: comment, errors: [] };
  const rows: string[][] = [];
  const remarks: string[] = [];
  for (const line of listed.split('\n').filter((each) => each.trim() !== '')) {
    const indent = line.search(/\S/);
    if (BEGINS.test(line)) rows.push([line.trim()]);
    // Two spaces begin a new one; four go on.
    else if (indent > 2 && rows.length > 0) rows.at(-1)?.push(line.trim());
    else remarks.push(line.trim());
  }
  const table = rows.map((lines) => {
    const [codes = '', ...meaning] = lines.join(' ').split(' – ');
    const [code = '', reasons = ''] = codes.split(' / ');
    const linked = reasons.split(', ').map((reason) => `\`${reason}\``);
    return `| \`${code}\` | ${linked.join(', ')} | ${meaning.join(' – ').replaceAll('|', '\\|')} |`;
  });
  const remark = remarks.length > 0 ? [`Errors: ${remarks.join(' ')}`] : [];
  return {
    text,
    errors:
      rows.length > 0
        ? [['| Code | Reason | When, and what to do |', '|---|---|---|', ...table].join('\n'), ...remark]
        : remark,
  };
}
