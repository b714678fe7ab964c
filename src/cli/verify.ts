/**
 * `verify DIR`: checks everything that a data directory holds. A stopped one is taken (its lock is held meanwhile); a
 * running one is checked by its own server, asked over the admin socket.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError, reasonOf } from '../core/errors.ts';
import { formatReport, problemsIn, Tally, type VerifyReport } from '../core/verify-report.ts';
import { callAdmin } from '../io/admin-socket.ts';
import { openDataDir, type Role } from '../io/data-dir.ts';
import { openHostKeys, openOriginKeys } from '../io/key-file.ts';
import { openMirrorStores, openOriginStores } from '../io/stores.ts';
import { verifyStores } from '../io/verify-stores.ts';
import { mirrorCheckpoint } from '../mirror/log/mirror-checkpoint.ts';
import { dataDirsIn } from './data-dirs.ts';

const EXIT = { sound: 0, wrong: 1 };

/** Files without which there is nothing to check; opening would make empty ones. */
const NEEDED: Record<Role, readonly string[]> = {
  origin: ['metadata.sqlite', 'blobs.sqlite', 'keys/keys.note'],
  mirror: ['blobs', 'keys/identity.key', 'keys/exchange.key'],
};

/**
 * Verifies a data directory, or all that lie in a folder such as that of `up`, and prints what was found.
 *
 * @param print takes one line
 * @returns the exit code: 0 if all is well, 1 if anything is wrong
 * @throws UsageError if there is no data directory
 */
export async function runVerify(
  target: string,
  print: (line: string) => void = (line) => process.stdout.write(`${line}\n`),
): Promise<number> {
  let problems = 0;
  for (const { dir, role } of await dataDirsIn(target)) {
    print(`${dir} (${role})`);
    const report = await verifyDataDir(dir, role);
    for (const line of formatReport(report)) print(line);
    problems += problemsIn(report);
  }
  print(
    problems === 0
      ? 'all is well'
      : `${problems.toLocaleString('en')} ${problems === 1 ? 'thing is' : 'things are'} wrong`,
  );
  return problems === 0 ? EXIT.sound : EXIT.wrong;
}

/** The report on one data directory, from its server if one is running there. */
async function verifyDataDir(dir: string, role: Role): Promise<VerifyReport> {
  const missing = await missingIn(dir, role);
  if (missing.length > 0) return oneProblem(dir, `it lacks ${missing.join(' and ')}`);
  try {
    return await verifyStopped(dir, role);
  } catch (error) {
    if (error instanceof ConflictError) return verifyRunning(dir, error);
    return oneProblem(dir, reasonOf(error));
  }
}

async function verifyStopped(dir: string, role: Role): Promise<VerifyReport> {
  const data = await openDataDir(dir, role);
  try {
    const keys = await verifyKeys(dir, role);
    const { checks } = await (role === 'origin' ? verifyStoppedOrigin(dir) : verifyStoppedMirror(dir));
    return { checks: [...keys.checks, ...checks] };
  } finally {
    await data.close();
  }
}

async function verifyStoppedOrigin(dir: string): Promise<VerifyReport> {
  const stores = await openOriginStores(dir);
  return verifyStores(stores).finally(() => stores.close());
}

async function verifyStoppedMirror(dir: string): Promise<VerifyReport> {
  const stores = await openMirrorStores(dir);
  return verifyStores(stores, mirrorCheckpoint(dir, stores.index)).finally(() => stores.close());
}

/** @param inUse what to say if there is no server to ask, only someone who holds the folder */
async function verifyRunning(dir: string, inUse: ConflictError): Promise<VerifyReport> {
  try {
    return (await callAdmin(dir, 'GET', ['verify'])) as VerifyReport;
  } catch (error) {
    return oneProblem(dir, error instanceof ConflictError ? inUse.message : (error as Error).message);
  }
}

async function verifyKeys(dir: string, role: Role): Promise<VerifyReport> {
  const tally = new Tally('keys');
  await tally.attempt('keys', async () => {
    if (role === 'origin') await openOriginKeys(dir);
    else await openHostKeys(dir);
    tally.count(role === 'origin' ? 'key set' : 'identity key');
  });
  return { checks: [tally.result(role === 'origin' ? 'as the root key certifies' : 'readable')] };
}

async function missingIn(dir: string, role: Role): Promise<string[]> {
  const missing: string[] = [];
  for (const name of NEEDED[role]) {
    await access(join(dir, name)).catch(() => missing.push(name));
  }
  return missing;
}

function oneProblem(dir: string, what: string): VerifyReport {
  const tally = new Tally('folder');
  tally.wrong(dir, what);
  return { checks: [tally.result('')] };
}
