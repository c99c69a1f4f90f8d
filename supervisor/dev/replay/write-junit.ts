import type { ReplayReport } from './replay-session.ts';

const escapeXml = (text: string): string =>
  // biome-ignore format: one character a line would hide the table
  text.replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd]/g, '?').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** The report as CI systems read it: one test case an invocation; the first difference fails the last that was made. */
export function writeJunit({ invocations, difference }: ReplayReport, suite: string, describe: (difference: object) => string): string {
  const rows = invocations.length === 0 ? [{ line: 1, name: 'start' }] : invocations;
  const cases = rows.map(({ line, name }, index) => {
    const isFailed = difference !== null && index === rows.length - 1;
    const head = `    <testcase classname="${escapeXml(suite)}" name="${escapeXml(`line ${line}: ${name}`)}"`;
    if (!isFailed) return `${head}/>`;
    return `${head}>\n      <failure message="${escapeXml(difference.what)}">${escapeXml(describe(difference))}</failure>\n    </testcase>`;
  });
  const failures = difference ? 1 : 0;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    `  <testsuite name="${escapeXml(suite)}" tests="${rows.length}" failures="${failures}">`,
    ...cases,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}
