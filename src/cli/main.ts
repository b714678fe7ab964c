#!/usr/bin/env node
/** The command line: which commands there are, what they may be told, and how a process ends. */
import { Command, CommanderError, Option } from 'commander';
import { type Configs, readConfig } from '../config.ts';
import { FederationError, UsageError } from '../core/errors.ts';
import { type CommandName, SETTINGS, type Setting, variableOf } from '../core/settings.ts';
import { keepHeapSmall } from '../io/heap.ts';
import { VERSION } from './version.ts';

/** What a command that serves gives back once it is ready. */
type Running = { close(): Promise<void> };

const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 };

function program(): Command {
  const root = new Command('open-registry')
    .description('An npm-compatible registry that many independent operators serve together')
    .version(VERSION)
    .showHelpAfterError('(add --help for what there is)')
    .exitOverride();
  addServer(root, 'up', 'run an origin and mirrors on this machine', async (config) =>
    (await import('./up.ts')).runUp(config),
  );
  addServer(root, 'origin', 'run the central service', async (config) =>
    (await import('./origin.ts')).runOrigin(config),
  );
  addServer(root, 'mirror', 'run a federated server', async (config) =>
    (await import('./mirror.ts')).runMirror(config),
  );
  addHosts(root);
  addPackages(root);
  addKeys(root);
  addLockfile(root);
  addVerify(root);
  root
    .command('rebuild')
    .description("make the tables of a stopped server's data directory anew from its log")
    .addOption(dataOption('data directory of an origin, a mirror, or of `up`'))
    .action(async ({ data }) => (await import('./rebuild.ts')).runRebuild(data));
  return root;
}

function addVerify(root: Command): void {
  root
    .command('verify')
    .description('check a data directory, or from outside all that an origin or a mirror serves')
    .argument('<dir-or-url>', 'data directory of an origin, a mirror, or of `up`; or a base URL')
    .option('--key <VKEY>', 'URL: verifier key that its log or root key must be')
    .addOption(
      new Option('--cosigner <VKEY>', 'URL: key whose cosignature to check; can be repeated').argParser(collect),
    )
    .option('--origin <URL>', 'URL of a mirror: where to take what it does not hold')
    .option('--tarballs <N>', 'URL: how many tarballs to fetch and hash (default: 20)')
    .action(async (target: string, options: Record<string, unknown>) => {
      const isUrl = /^https?:/i.test(target);
      if (!isUrl && Object.keys(options).length > 0)
        throw new UsageError('a data directory is verified without options');
      process.exitCode = isUrl
        ? await (await import('./verify-url.ts')).runVerifyUrl(target, options)
        : await (await import('./verify.ts')).runVerify(target);
    });
}

function addServer<Name extends CommandName>(
  root: Command,
  name: Name,
  description: string,
  start: (config: Configs[Name]) => Promise<Running>,
): void {
  const command = root.command(name).description(description);
  const options = SETTINGS[name].map((setting) => ({ key: setting.key, option: optionOf(setting) }));
  for (const { option } of options) command.addOption(option);
  command.option('--config <FILE>', 'JSON file with any of these settings (env: OPEN_REGISTRY_CONFIG)');
  command.action(async (given: Record<string, unknown>) => {
    const flags = Object.fromEntries(options.map(({ key, option }) => [key, given[option.attributeName()]]));
    await serve(async () => start(await readConfig(name, { ...flags, config: given.config })));
  });
}

function optionOf(setting: Setting): Option {
  const { flag, describe, fallback, repeats } = setting;
  const shown = typeof fallback === 'string' || typeof fallback === 'number' ? `, default: ${fallback}` : '';
  const option = new Option(flag, `${describe} (env: ${variableOf(setting)}${shown})`);
  return repeats ? option.argParser(collect) : option;
}

/** A command that talks to a running origin. */
function addAdmin(parent: Command, usage: string, description: string, isDefault = false): Command {
  const data = dataOption('data directory of the running origin, or of `up`');
  return parent.command(usage, { isDefault }).description(description).addOption(data);
}

function dataOption(description: string): Option {
  return new Option('--data <DIR>', description).env('OPEN_REGISTRY_DATA').default('data');
}

function addHosts(root: Command): void {
  const hosts = root.command('hosts').description('administer the hosts of a running origin');
  const load = () => import('./hosts.ts');
  addAdmin(hosts, 'list', 'list applications and hosts').action(async ({ data }) => (await load()).listHosts(data));
  addAdmin(hosts, 'approve <id>', 'admit a host, or take it back in').action(async (id, { data }) =>
    (await load()).approveHost(data, id),
  );
  for (const [name, description] of [
    ['suspend', 'take a host out until it is approved again'],
    ['evict', 'take a host out for ever'],
  ] as const) {
    addAdmin(hosts, `${name} <id>`, description)
      .option('--reason <TEXT>', 'why, in one line', 'by the operator of the origin')
      .action(async (id, { data, reason }) => (await load()).removeHost(data, name, id, reason));
  }
}

function addPackages(root: Command): void {
  const packages = root
    .command('packages')
    .description('what a running origin knows of packages, and decisions on them');
  const load = () => import('./packages.ts');
  addAdmin(packages, 'incidents', 'list what the upstream showed that it should not').action(async ({ data }) =>
    (await load()).listIncidents(data),
  );
  addAdmin(packages, 'show <name>', 'show a package: versions, pins, tags, incidents').action(async (name, { data }) =>
    (await load()).showPackage(data, name),
  );
  addAdmin(packages, 'repin <name@version>', 'pin a version anew as the upstream shows it now')
    .requiredOption('--reason <TEXT>', 'why, in one line; everybody can read it')
    .action(async (spec, { data, reason }) => (await load()).repinVersion(data, spec, reason));
  const keys = packages.command('keys').description("the upstream's signing keys");
  addAdmin(keys, 'list', 'list keys that count and keys that wait', true).action(async ({ data }) =>
    (await load()).listKeys(data),
  );
  addAdmin(keys, 'accept <keyid>', 'let a new key count').action(async (keyid, { data }) =>
    (await load()).acceptKey(data, keyid),
  );
  const withdrawals = packages.command('withdrawals').description('following what the upstream withdraws');
  addAdmin(withdrawals, 'status', 'say whether withdrawing is halted', true).action(async ({ data }) =>
    (await load()).showWithdrawals(data),
  );
  addAdmin(withdrawals, 'resume', 'go on after a halt').action(async ({ data }) =>
    (await load()).resumeWithdrawals(data),
  );
}

function addKeys(root: Command): void {
  root
    .command('keys')
    .description('the keys of a stopped origin')
    .command('rotate')
    .description('give the log another key, certified by the root key in an entry of the log')
    .addOption(dataOption('data directory of the stopped origin, or of `up`'))
    .option('--root-key <FILE>', 'where the root key is (default: keys/root.key in the data directory)')
    .action(async ({ data, rootKey }) => (await import('./keys.ts')).rotateKeys(data, rootKey ?? null));
}

function addLockfile(root: Command): void {
  const lockfile = root.command('lockfile').description('see which registries a lockfile names, and change that');
  const load = () => import('./lockfile.ts');
  lockfile
    .command('check <file>')
    .description('list the registries that a lockfile names')
    .option('--registry <URL>', 'say whether each client would get everything there')
    .action(async (file: string, options) => {
      process.exitCode = await (await load()).checkLockfile(file, options);
    });
  lockfile
    .command('rewrite <file>')
    .description('move a lockfile to another registry, or make it portable')
    .option('--to <URL>', 'registry that its URLs are to name')
    .option('--portable', 'take out what ties it to a registry')
    .addOption(new Option('--from <URL>', 'only what names this registry; can be repeated').argParser(collect))
    .option('--output <FILE>', 'write to this file, - for standard output, instead of in place')
    .action(async (file: string, options) => {
      process.exitCode = await (await load()).rewriteLockfile(file, options);
    });
}

/** Values of an option that can be repeated. */
function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** Runs until SIGTERM or SIGINT, then lets running answers finish. A second signal ends the process at once. */
async function serve(start: () => Promise<Running>): Promise<void> {
  keepHeapSmall();
  const stopped = firstSignal();
  const running = await start();
  await stopped;
  await running.close();
  process.exit(EXIT.ok);
}

function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let signals = 0;
    const onSignal = (): void => {
      if (++signals > 1) process.exit(EXIT.interrupted);
      resolve();
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
}

/** Usage errors were told by commander itself; a fault of this program keeps its stack. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof FederationError) process.stderr.write(`open-registry: ${error.message}\n`);
  else process.stderr.write(`open-registry failed unexpectedly: ${(error as Error)?.stack ?? error}\n`);
  return error instanceof UsageError ? EXIT.usage : EXIT.failed;
}

try {
  await program().parseAsync();
} catch (error) {
  process.exit(exitCodeOf(error));
}
