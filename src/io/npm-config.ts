/**
 * What a server takes over from the npm configuration of the user who runs it: the registry, proxies and certificate
 * authorities. Read by npm's own package, so that files, environment and the default registry mean what they mean to
 * npm. Credentials are never taken, and neither is a project's `.npmrc`: the folder that a server happens to be started
 * in must not decide where it fetches from.
 */
import { access, constants, readFile, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join, sep } from 'node:path';
import Config from '@npmcli/config';
import npm from '@npmcli/config/lib/definitions/index.js';
import { UsageError } from '../core/errors.ts';
import { fileTrouble } from '../core/file-trouble.ts';

/** URLs as given, without a slash at the end of `registry`. Certificates are PEM texts; an empty `ca` means the system's. */
export type NpmConfig = {
  readonly registry: string;
  readonly proxy: string | null;
  readonly httpsProxy: string | null;
  /** Host names and suffixes, separated by commas. */
  readonly noProxy: string;
  readonly ca: readonly string[];
  readonly strictSsl: boolean;
  /** `@scope` of every `@scope:registry` line; such packages are asked from `registry` like all others. */
  readonly scopedRegistriesIgnored: readonly string[];
};

type Environment = Readonly<Record<string, string | undefined>>;

const CERTIFICATE_END = '-----END CERTIFICATE-----';

/**
 * Reads the environment (`npm_config_…`), the user's, the global and npm's built-in configuration, in npm's order.
 * @throws UsageError if npm itself would refuse what is configured
 */
export async function readNpmConfig(env: Environment = process.env): Promise<NpmConfig> {
  const config = await load(env);
  const get = (key: string): unknown => config.get(key);
  return {
    registry: registryUrl(get('registry')),
    proxy: proxyUrl(get('proxy') ?? env.http_proxy ?? env.HTTP_PROXY ?? env.proxy ?? env.PROXY),
    httpsProxy: proxyUrl(
      get('https-proxy') ?? get('proxy') ?? env.https_proxy ?? env.HTTPS_PROXY ?? env.http_proxy ?? env.HTTP_PROXY,
    ),
    noProxy: list(get('noproxy')).join(',') || (env.no_proxy ?? env.NO_PROXY ?? ''),
    ca: [...list(get('ca')), ...(await readCaFile(get('cafile')))],
    strictSsl: get('strict-ssl') !== false,
    scopedRegistriesIgnored: scopesOf(config),
  };
}

/** `--location=global` is npm's own way to leave the project out; the copy of `env` is what npm may write to. */
async function load(env: Environment): Promise<Config> {
  const { execPath, npmPath } = await findNpm(env.PATH ?? '');
  const options = {
    ...npm,
    npmPath,
    execPath,
    env: { ...env } as NodeJS.ProcessEnv,
    argv: [execPath, npmPath, '--location=global'],
    cwd: env.HOME ?? homedir(),
    warn: false,
  };
  try {
    const config = new Config(options);
    await config.load();
    return config;
  } catch (cause) {
    throw new UsageError(`can't read the npm configuration: ${(cause as Error).message}`, { cause });
  }
}

/**
 * The user's npm, because its place decides where the global configuration lies. The program's own node_modules is
 * passed over: the Node.js in there has no configuration of anyone's.
 */
async function findNpm(path: string): Promise<{ execPath: string; npmPath: string }> {
  const folders = path.split(delimiter).filter((folder) => folder !== '' && !folder.includes(`node_modules${sep}.bin`));
  for (const folder of folders) {
    const npmBin = join(folder, 'npm');
    if (await isExecutable(npmBin)) {
      return { execPath: join(folder, 'node'), npmPath: dirname(dirname(await realpath(npmBin))) };
    }
  }
  return { execPath: process.execPath, npmPath: dirname(process.execPath) };
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function registryUrl(value: unknown): string {
  if (!isHttpUrl(value)) {
    throw new UsageError(`npm's configuration has no usable registry (${String(value)}); give one with --upstream URL`);
  }
  return value.replace(/\/+$/, '');
}

/** npm takes a proxy without a scheme as plain HTTP, and `false` as an order to use none. */
function proxyUrl(value: unknown): string | null {
  if (typeof value !== 'string' || value === '') return null;
  const url = value.includes('://') ? value : `http://${value}`;
  if (!isHttpUrl(url)) throw new UsageError('npm is configured with a proxy that is not an http or https URL');
  return url;
}

function isHttpUrl(value: unknown): value is string {
  return typeof value === 'string' && /^https?:$/.test(URL.parse(value)?.protocol ?? '');
}

function list(value: unknown): string[] {
  const values = Array.isArray(value) ? value : [value];
  return values.filter((item): item is string => typeof item === 'string' && item !== '');
}

async function readCaFile(file: unknown): Promise<string[]> {
  if (typeof file !== 'string' || file === '') return [];
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw new UsageError(`can't read the certificates of npm's "cafile" setting: ${fileTrouble(cause)}`, { cause });
  });
  const certificates = text.split(CERTIFICATE_END).filter((part) => part.includes('-----BEGIN CERTIFICATE-----'));
  return certificates.map((part) => `${part.trimStart()}${CERTIFICATE_END}\n`);
}

function scopesOf(config: Config): string[] {
  const keys = config.list.flatMap((level) => Object.keys(level));
  const scopes = keys.filter((key) => /^@[^:]+:registry$/i.test(key)).map((key) => key.slice(0, key.indexOf(':')));
  return [...new Set(scopes)].sort();
}
