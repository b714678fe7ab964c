/**
 * Reads what a command was told (core/settings): by a flag, its environment variable `OPEN_REGISTRY_<FLAG>`, or its key
 * in a configuration file. Flags beat the environment, the environment beats the file, the file beats the default.
 */
import { readFile } from 'node:fs/promises';
import { quote, UsageError } from './core/errors.ts';
import { fileTrouble } from './core/file-trouble.ts';
import type { MirrorSettings, OriginSettings } from './core/role-config.ts';
import type { LogLevel } from './core/setting-values.ts';
import { type CommandName, nameOf, SETTINGS, type Setting, variableOf } from './core/settings.ts';

/** `up`: an origin and mirrors on this machine. */
export type UpConfig = Pick<OriginSettings, 'upstream' | 'upstreamTarballs' | 'doors'> & {
  /** Folder for everything that is kept. Default `data`. */
  readonly data: string;
  /** TCP port of the origin; 0 picks a free one. Default 4873. Mirrors always pick free ones. */
  readonly port: number;
  /** How many mirrors, 0 to 16. Default 2. */
  readonly mirrors: number;
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

/** What `readConfig` returns, by command. */
export type Configs = { up: UpConfig; origin: OriginConfig; mirror: MirrorConfig };
type Environment = Readonly<Record<string, string | undefined>>;
/** What the command line was given, by key: texts, lists of texts, or true for a switch. */
export type Flags = Readonly<Record<string, unknown>>;

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
    throw new UsageError(`can't read the configuration file ${path}: ${fileTrouble(cause)}`, { cause });
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
