/** What each command can be told, in one table: flags, environment variables and keys of a configuration file. */
import { parseBaseUrl, parseDoorFlag } from './door.ts';
import {
  clientIds,
  LOG_LEVELS,
  readCidr,
  readClientId,
  readHostId,
  readInteger,
  readLogLevel,
  readPattern,
  readRegistryUrl,
  readSize,
  readSwitch,
  readVkey,
} from './setting-values.ts';

/** One thing that can be told. `read` turns its text into a value and throws UsageError for what makes no sense. */
export type Setting = {
  /** Key in the configuration file and in the config object. */
  readonly key: string;
  /** As the command line shows it, such as `--door <RULE=URL>`; without `<…>` it is a switch. */
  readonly flag: string;
  readonly describe: string;
  /** Used when nothing else is said; undefined makes the setting required. */
  readonly fallback?: unknown;
  /** Given several times: a list. */
  readonly repeats?: true;
  readonly read: (text: string) => unknown;
};

/** Commands that serve. */
export type CommandName = 'up' | 'origin' | 'mirror';

const text = (value: string): string => value;
const data: Setting = { key: 'data', flag: '--data <DIR>', describe: 'folder for everything that is kept', read: text };
const port: Setting = {
  key: 'port',
  flag: '--port <N>',
  describe: 'TCP port to listen on; 0 picks a free one',
  read: (value) => readInteger(value, 0, 65_535),
};
const host: Setting = {
  key: 'host',
  flag: '--host <ADDR>',
  describe: 'address to listen on; localhost means both loopback addresses',
  fallback: 'localhost',
  read: text,
};
const upstream: Setting = {
  key: 'upstream',
  flag: '--upstream <URL>',
  describe: 'registry to follow (default: the one of your npm configuration)',
  fallback: null,
  read: readRegistryUrl,
};
const upstreamTarballs: Setting = {
  key: 'upstreamTarballs',
  flag: '--upstream-tarballs <URL>',
  describe: 'further servers that tarballs of the upstream may be fetched from',
  fallback: [],
  repeats: true,
  read: parseBaseUrl,
};
const doors: Setting = {
  key: 'doors',
  flag: '--door <RULE=URL>',
  describe: 'public base URL, with the rule redirect, self or canonical; the first is the default door',
  fallback: [],
  repeats: true,
  read: parseDoorFlag,
};
const freshness: Setting = {
  key: 'freshnessSeconds',
  flag: '--freshness <SECONDS>',
  describe: 'how long metadata is served without asking the upstream again',
  fallback: 300,
  read: (value) => readInteger(value, 0, 86_400),
};
const diskBudget: Setting = {
  key: 'diskBudgetBytes',
  flag: '--disk-budget <SIZE>',
  describe: 'disk for all that can be fetched again, such as 50GB; what was not used for the longest time goes first',
  fallback: null,
  read: readSize,
};
const policy: Setting = {
  key: 'policy',
  flag: '--policy <FILE>',
  describe: "file (C2SP tlog-policy) that names the witnesses of the log's checkpoints",
  fallback: null,
  read: text,
};
const allowPrivate: Setting = {
  key: 'allowPrivate',
  flag: '--allow-private',
  describe: 'let hosts have private and loopback addresses',
  fallback: false,
  read: readSwitch,
};
const logLevel: Setting = {
  key: 'logLevel',
  flag: '--log-level <LEVEL>',
  describe: `how much to log: ${LOG_LEVELS.join(', ')}`,
  fallback: 'info',
  read: readLogLevel,
};

/** By command, in the order of its help. */
export const SETTINGS: Readonly<Record<CommandName, readonly Setting[]>> = {
  up: [
    { ...data, fallback: 'data' },
    { ...port, describe: 'TCP port of the registry; 0 picks a free one', fallback: 4873 },
    {
      key: 'mirrors',
      flag: '--mirrors <N>',
      describe: 'how many mirrors to run beside it, 0 to 16',
      fallback: 2,
      read: (value) => readInteger(value, 0, 16),
    },
    upstream,
    upstreamTarballs,
    doors,
    logLevel,
  ],
  origin: [
    data,
    port,
    host,
    upstream,
    doors,
    {
      key: 'trustProxy',
      flag: '--trust-proxy <CIDR>',
      describe: 'addresses of proxies whose X-Forwarded-For is believed',
      fallback: [],
      repeats: true,
      read: readCidr,
    },
    {
      key: 'neverAsk',
      flag: '--never-ask <PATTERN>',
      describe: 'names that the upstream is never asked for, such as @scope/*',
      fallback: [],
      repeats: true,
      read: readPattern,
    },
    upstreamTarballs,
    allowPrivate,
    {
      key: 'redirectUnverified',
      flag: '--redirect-unverified <AGENTS>',
      describe: `send these clients to mirrors although they may install unverified bytes: ${clientIds().join(', ')}`,
      fallback: [],
      repeats: true,
      read: readClientId,
    },
    {
      key: 'trustedHosts',
      flag: '--trusted-hosts <IDS>',
      describe: 'mirrors that you vouch for, by their ids in "hosts list"',
      fallback: [],
      repeats: true,
      read: readHostId,
    },
    {
      key: 'redirectTrusted',
      flag: '--redirect-trusted <AGENTS>',
      describe: "send these clients to trusted mirrors only; 'npm' spares it what a lying mirror can leave behind",
      fallback: [],
      repeats: true,
      read: readClientId,
    },
    {
      key: 'redirectNever',
      flag: '--redirect-never <AGENTS>',
      describe: "never send these clients to mirrors; 'npm' spares it what a mirror that cuts bodies can leave behind",
      fallback: [],
      repeats: true,
      read: readClientId,
    },
    freshness,
    diskBudget,
    policy,
    logLevel,
  ],
  mirror: [
    { key: 'origin', flag: '--origin <URL>', describe: 'base URL of the origin to mirror', read: parseBaseUrl },
    data,
    port,
    host,
    {
      key: 'publicUrl',
      flag: '--public-url <URL>',
      describe: 'URL that clients reach this mirror by (default: the address it listens on)',
      fallback: null,
      read: parseBaseUrl,
    },
    {
      key: 'originKey',
      flag: '--origin-key <VKEY>',
      describe:
        'verifier key that the origin prints; without it the first one seen is trusted, over https or loopback only',
      fallback: null,
      read: readVkey,
    },
    {
      key: 'peers',
      flag: '--peer <URL>',
      describe: 'other mirrors to fetch missing content from',
      fallback: [],
      repeats: true,
      read: parseBaseUrl,
    },
    {
      key: 'door',
      flag: '--door <URL>',
      describe: "base URL of your organisation's own registry at this mirror; it then sees its users' credentials",
      fallback: null,
      read: parseBaseUrl,
    },
    {
      ...upstream,
      describe:
        'registry to fetch tarballs from, checked like all others, where neither peers nor the origin give them',
    },
    {
      key: 'replicate',
      flag: '--replicate <PATTERN>',
      describe: 'packages to fetch ahead, all of their tarballs too: all, a name, or a pattern such as @types/*',
      fallback: [],
      repeats: true,
      read: readReplicated,
    },
    freshness,
    diskBudget,
    policy,
    logLevel,
  ],
};

/** `--trust-proxy <CIDR>` is read from `OPEN_REGISTRY_TRUST_PROXY`. */
export function variableOf({ flag }: Pick<Setting, 'flag'>): string {
  return `OPEN_REGISTRY_${nameOf(flag).slice(2).toUpperCase().replaceAll('-', '_')}`;
}

/** `--door <RULE=URL>` without its argument. */
export function nameOf(flag: string): string {
  return flag.split(' ', 1)[0] ?? flag;
}

/** `all` is every package, which leaves no way to name just a package called so. */
function readReplicated(value: string): string {
  return value === 'all' ? '*' : readPattern(value);
}
