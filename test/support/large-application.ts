import type { Application } from './application.ts';

/** What projects of some age are made of: more than 350 packages, nearly all of them small. */
const dependencies = {
  browserify: '17.0.1',
  express: '4.21.2',
  mocha: '10.8.2',
  tape: '5.9.0',
};

/** Lets each dependency do its work: a bundle, an answer over a socket, a test of either kind. */
const program = `import browserify from 'browserify';
import express from 'express';
import Mocha from 'mocha';
import tape from 'tape';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';

// Streams of a time before they could be iterated.
async function textOf(stream) {
  let text = '';
  stream.on('data', (chunk) => { text += chunk; });
  await once(stream, 'end');
  return text;
}

writeFileSync('bundled.js', 'console.log(1)');
const bundle = await textOf(browserify('./bundled.js').bundle());

const server = express().get('/', (request, response) => response.send('hello')).listen(0, '127.0.0.1');
await once(server, 'listening');
const greeting = await (await fetch('http://127.0.0.1:' + server.address().port)).text();
server.closeAllConnections();
server.close();

const mocha = new Mocha({ reporter: class {} });
mocha.suite.addTest(new Mocha.Test('passes', () => {}));
const failures = await new Promise((resolve) => mocha.run(resolve));

const harness = tape.createHarness();
const lines = harness.createStream();
harness('equal', (t) => { t.equal(1, 1); t.end(); });
const tap = await textOf(lines);

console.log(['application runs:', bundle.includes('console.log(1)'), greeting, failures, /# pass\\s+1/.test(tap)].join(' '));
`;

/** The large application: the same few lines of package.json as many have, and a whole tree behind them. */
export const largeApplication: Application = {
  manifest: { name: 'large-application', version: '1.0.0', private: true, type: 'module', dependencies },
  program,
  says: 'application runs: true hello 0 true',
  packagesMin: 340,
  redirectedMin: 0.8,
};
