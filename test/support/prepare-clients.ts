// Fetches what the tests of real clients need, before they run; started by `npm test` and `npm run test:clients`.
import { smallApplication } from './application.ts';
import { captureApplication } from './capture.ts';
import { fetchClient, isFetched } from './client-folders.ts';
import { everydayClients, furtherClients } from './client-table.ts';
import { everydayFollowers, furtherFollowers } from './follower-table.ts';
import { prepareGo } from './go-checker.ts';
import { largeApplication } from './large-application.ts';

const strict = process.env.OPEN_REGISTRY_TESTS_STRICT === '1';
const matrix = process.argv.includes('--matrix');
const everyday = [...everydayClients, ...everydayFollowers];
const clients = matrix ? [...everyday, ...furtherClients, ...furtherFollowers] : everyday;
const applications = matrix ? [smallApplication, largeApplication] : [smallApplication];
const missing = clients.filter((client) => !isFetched(client));
if (missing.length > 0) say(`fetching ${missing.map((client) => client.label).join(', ')} (kept for the next runs)`);
for (const client of missing) await attempt(client.label, () => fetchClient(client));
for (const application of applications) {
  await attempt('the packages that clients install', () => captureApplication(application));
}
if (matrix) await attempt("Go's checksum database", () => prepareGo(say));

async function attempt(what: string, fetch: () => Promise<void>): Promise<void> {
  try {
    await fetch();
  } catch (error) {
    say(
      `${error instanceof Error ? error.message : error}\nWithout ${what}, tests that need it ${strict ? 'fail' : 'are skipped'}.`,
    );
    if (strict) process.exitCode = 1;
  }
}

function say(text: string): void {
  process.stderr.write(`tests: ${text}\n`);
}
