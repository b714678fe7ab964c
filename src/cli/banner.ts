/** What `up` prints for people once it is ready. */
import { type ClientSetup, clientSetups } from '../core/client-setup.ts';

export type BannerFacts = {
  /** The door's URL, with a slash at its end. */
  readonly registry: string;
  readonly mirrors: readonly string[];
  readonly upstream: string;
  readonly verifierKey: string;
  /** Where the root key lies, as long as it lies here. */
  readonly rootKeyFile: string | null;
  readonly data: string;
  readonly logFile: string;
};

const INDENT = '  ';
const LABEL_WIDTH = 10;

/** The whole text, with empty lines around it and a line feed at its end. */
export function formatBanner(facts: BannerFacts): string {
  const blocks = [
    ['Your registry is running.'],
    factLines(facts),
    ['To use it, and to stop using it:'],
    ...clientSetups(facts.registry).map(clientLines),
    [
      'Or for one project: a file .npmrc beside package.json (npm, pnpm, yarn 1, bun) with',
      `  registry=${facts.registry}`,
    ],
    ['Ctrl+C stops it. What it has learned stays, and the next start goes on from there.'],
  ];
  const text = blocks.map((lines) => lines.map((line) => `${INDENT}${line}\n`).join('')).join('\n');
  return `\n${text}\n`;
}

function factLines(facts: BannerFacts): string[] {
  const { registry, mirrors, upstream, data, logFile, verifierKey, rootKeyFile } = facts;
  return [
    labelled('registry', [registry]),
    labelled('mirrors', mirrors.length === 0 ? ['none; the origin serves everything itself'] : mirrors),
    labelled('follows', [upstream]),
    labelled('data', [data]),
    labelled('log', [logFile]),
    labelled('key', [verifierKey]),
    labelled('root key', rootKeyFile === null ? [] : [`${rootKeyFile} (keep a copy offline, then remove it here)`]),
  ].flat();
}

function clientLines({ client, file, use, stop }: ClientSetup): string[] {
  const [first = '', ...more] = use;
  const where = file === null ? '' : `   (in ${file})`;
  return labelled(client, [
    ...[`${first}${where}`, ...more].map((line) => `use   ${line}`),
    ...stop.map((line) => `stop  ${line}`),
  ]);
}

/** The label stands before the first line, blanks before the others. */
function labelled(label: string, lines: readonly string[]): string[] {
  return lines.map((line, at) => `${(at === 0 ? label : '').padEnd(LABEL_WIDTH)}${line}`);
}
