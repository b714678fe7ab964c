/**
 * What each command can be told, in one table: a flag, its environment variable `OPEN_REGISTRY_<FLAG>`, and its key in a
 * configuration file. Flags beat the environment, the environment beats the file, the file beats the default.
 */
import { readFile } from 'node:fs/promises';
import { type Door, parseBaseUrl, parseDoorFlag } from './core/door.ts';
import { quote, UsageError } from './core/errors.ts';
import type { MirrorSettings, OriginSettings } from './core/role-config.ts';
import {
  clientIds,
  LOG_LEVELS,
  type LogLevel,
  readCidr,
  readClientId,
  readInteger,
  readLogLevel,
  readPattern,
  readRegistryUrl,
  readSize,
  readSwitch,
  readVkey,
} from './core/setting-values.ts';

/** `up`: an origin and mirrors on this machine. */
export type UpConfig = {
  /** Folder for everything that is kept. Default `data`. */
  readonly data: string;
  /** TCP port of the origin; 0 picks a free one. Default 4873. Mirrors always pick free ones. */
  readonly port: number;
  /** How many mirrors, 0 to 16. Default 2. */
  readonly mirrors: number;
  /** Base URL of the upstream registry; null means the one of the user's npm configuration. */
  readonly upstream: string | null;
  /** Origins besides the upstream's own that tarballs may be fetched from. */
  readonly upstreamTarballs: readonly string[];
  readonly doors: readonly Door[];
  readonly logLevel: LogLevel;
};

/** `origin`: the central service. */
export type OriginConfig = OriginSettings & {
  /** For how many seconds what the upstream said is served without asking again. Default 300. */
  readonly freshnessSeconds: number;
  /** Bytes of disk for tarballs of the upstream, which can be fetched again; null: no bound. */
  readonly diskBudgetBytes: number | null;
  /** Path of a C2SP tlog-policy: its witnesses that have a URL are asked to cosign; null: nobody is. */
  readonly policy: string | null;
  readonly logLevel: LogLevel;
};

/** `mirror`: a federated server. */
export type MirrorConfig = MirrorSettings & {
  /** Base URL of an organisation's own registry, kept by this mirror; null for a host of the public pool. */
  readonly door: string | null;
  /** For how many seconds what the origin said of a package is served without asking again. Default 300. */
  readonly freshnessSeconds: number;
  /** Names and patterns of packages to fetch ahead; `*` for all. None by default: then packages come on demand. */
  readonly replicate: readonly string[];
  /** Bytes of disk for what it serves; null: no bound. */
  readonly diskBudgetBytes: number | null;
  /** Path of a C2SP tlog-policy that a checkpoint must satisfy before it is served; null: the log's signature is enough. */
  readonly policy: string | null;
  readonly logLevel: LogLevel;
};

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

export type CommandName = keyof Configs;
/** What `readConfig` returns, by command. */
export type Configs = { up: UpConfig; origin: OriginConfig; mirror: MirrorConfig };
type Environment = Readonly<Record<string, string | undefined>>;
/** What the command line was given, by key: texts, lists of texts, or true for a switch. */
export type Flags = Readonly<Record<string, unknown>>;

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
  describe: 'how much disk tarballs may take, such as 50GB; those not used for the longest time go first',
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

/**
 * The configuration of one command.
 * @param flags what the command line gave, by key; `config` names the file
 * @throws UsageError naming the flag, variable or key that is wrong, and for required ones that are missing
 */
export async function readConfig<Name extends CommandName>(
  command: Name,
  flags: Flags,
  env: Environment = process.env,
): Promise<Configs[Name]> {
  const file = await readConfigFile(flags.config ?? env.OPEN_REGISTRY_CONFIG);
  const entries = SETTINGS[command].map((setting) => [setting.key, resolve(setting, command, flags, env, file)]);
  return Object.fromEntries(entries);
}

/** `all` is every package, which leaves no way to name just a package called so. */
function readReplicated(value: string): string {
  return value === 'all' ? '*' : readPattern(value);
}

/** `--trust-proxy <CIDR>` is read from `OPEN_REGISTRY_TRUST_PROXY`. */
export function variableOf({ flag }: Pick<Setting, 'flag'>): string {
  return `OPEN_REGISTRY_${nameOf(flag).slice(2).toUpperCase().replaceAll('-', '_')}`;
}

/** `--door <RULE=URL>` without its argument. */
export function nameOf(flag: string): string {
  return flag.split(' ', 1)[0] ?? flag;
}

function resolve(setting: Setting, command: string, flags: Flags, env: Environment, file: Flags): unknown {
  const variable = variableOf(setting);
  const sources: [string, unknown][] = [
    [nameOf(setting.flag), flags[setting.key]],
    [variable, env[variable] === '' ? undefined : env[variable]],
    [`"${setting.key}" in the configuration file`, file[setting.key]],
  ];
  const [where, given] = sources.find(([, value]) => value !== undefined) ?? ['', undefined];
  if (given !== undefined) return readGiven(setting, where, given);
  if (setting.fallback !== undefined) return setting.fallback;
  throw new UsageError(
    `${command} needs ${setting.flag} (${setting.describe}); ${variable} or "${setting.key}" in a file given by --config will do, too`,
  );
}

function readGiven(setting: Setting, where: string, given: unknown): unknown {
  try {
    return setting.repeats ? listOf(given).map(setting.read) : setting.read(oneOf(given));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${where}: ${error.message}`, { cause: error });
  }
}

/** A list may be one text with commas or spaces, as in the environment; none of the values can contain either. */
function listOf(given: unknown): string[] {
  const items = Array.isArray(given) ? given : [given];
  return items.flatMap((item) => oneOf(item).split(/[\s,]+/)).filter((item) => item !== '');
}

function oneOf(given: unknown): string {
  if (['string', 'number', 'boolean'].includes(typeof given)) return String(given);
  throw new UsageError('expected a text, a number, true or false');
}

async function readConfigFile(path: unknown): Promise<Flags> {
  if (typeof path !== 'string' || path === '') return {};
  const content = await readFile(path, 'utf8').catch((cause) => {
    throw new UsageError(`can't read the configuration file ${path}: ${cause.message}`, { cause });
  });
  const value = parseObject(content, path);
  const known = new Set(Object.values(SETTINGS).flatMap((settings) => settings.map(({ key }) => key)));
  const unknown = Object.keys(value).filter((key) => !known.has(key));
  if (unknown.length === 0) return value;
  throw new UsageError(`the configuration file ${path} has unknown keys: ${unknown.map(quote).join(', ')}`);
}

function parseObject(content: string, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(content);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new UsageError(`the configuration file ${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  throw new UsageError(`the configuration file ${path} is not a JSON object`);
}
