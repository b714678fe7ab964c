import { type Outcome, run } from './run.ts';

/** Settings that an enclosing `npm run` may have set for itself and that would change what an inner npm does or prints. */
const overrides = [
  '--loglevel=error',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  '--no-progress',
  '--no-dry-run',
];

/** Runs the machine's own npm with the user's own configuration: the only way in which tests reach the outside. */
export function npm(args: readonly string[], cwd: string): Promise<Outcome> {
  const script = process.env.npm_execpath;
  const node = process.env.npm_node_execpath;
  const [command, first] = script?.endsWith('.js') && node ? [node, [script]] : ['npm', []];
  return run(command, [...first, ...args, ...overrides], { cwd, env: process.env, timeoutMs: 300_000 });
}
