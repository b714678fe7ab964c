import type { Fetched } from './client-folders.ts';

/**
 * A follower of npm registries as its users run it. `program` is what stands in its documentation, made to print
 * `<seq> <name>` for each change; it finds the registry in `REGISTRY`, where to begin in `SINCE`, and, if it keeps its
 * place by itself, the file for that in `STATE`.
 */
export interface Follower extends Fetched {
  readonly program: string;
  readonly keepsPlace?: true;
  /**
   * How its registry may go away and come back without its noticing: `kill` and any other way, or by a `restart` that
   * ends its answers. Left out: it gives up as soon as it is refused once, and its user starts it again.
   */
  readonly survives?: 'kill' | 'restart';
}

export const changesStream: Follower = {
  label: 'changes-stream',
  spec: 'changes-stream@2.2.0',
  program: `
    const ChangesStream = require('changes-stream');
    const { REGISTRY: db, SINCE } = process.env;
    new ChangesStream({ db, since: Number(SINCE) }).on('data', ({ seq, id }) => console.log(seq + ' ' + id));
  `,
  survives: 'restart',
};

/** Long polls, asked by POST, of a database that it must be given a name of. */
export const nano: Follower = {
  label: 'nano',
  spec: 'nano@11.0.7',
  program: `
    const { REGISTRY, SINCE } = process.env;
    const reader = require('nano')(REGISTRY).use('registry').changesReader;
    const changes = reader.start({ since: Number(SINCE) });
    changes.on('change', ({ seq, id }) => console.log(seq + ' ' + id)).on('error', console.error);
  `,
  survives: 'kill',
};

/** Wants each packument with its change. */
const concurrentCouchFollower: Follower = {
  label: 'concurrent-couch-follower',
  spec: 'concurrent-couch-follower@1.3.0',
  program: `
    const follow = require('concurrent-couch-follower');
    const { REGISTRY: db, STATE: sequence } = process.env;
    const handle = ({ seq, doc }, done) => {
      console.log(seq + ' ' + doc.name);
      done();
    };
    follow(handle, { db, sequence });
  `,
  keepsPlace: true,
  survives: 'restart',
};

const followContinuously: Follower = {
  label: 'follow',
  spec: 'follow@1.1.0',
  program: `
    const { REGISTRY: db, SINCE } = process.env;
    require('follow')({ db, since: Number(SINCE) }, (error, { seq, id } = {}) => {
      if (error) throw error;
      console.log(seq + ' ' + id);
    });
  `,
  survives: 'kill',
};

const followPolling: Follower = {
  ...followContinuously,
  label: 'follow with long polls',
  program: followContinuously.program.replace('since:', "feed: 'longpoll', since:"),
};

/** Fetches the abbreviated packument of each change from the registry. */
const followRegistry: Follower = {
  label: '@achingbrain/follow-registry',
  spec: '@achingbrain/follow-registry@5.0.1',
  program: `
    const { readFile, rm, writeFile } = require('node:fs/promises');
    const followRegistry = require('@achingbrain/follow-registry');
    const { REGISTRY: registry, STATE: file } = process.env;
    const seq = {
      read: () => readFile(file, 'utf8'),
      write: (value) => writeFile(file, String(value)),
      reset: () => rm(file),
    };
    (async () => {
      const options = { registry, replicator: registry + '/_changes', seq, concurrency: 1, inactivityBackoff: 100 };
      for await (const { packument, seq, done } of followRegistry(options)) {
        await done();
        console.log(seq + ' ' + packument.name);
      }
    })();
  `,
  keepsPlace: true,
  survives: 'kill',
};

const pouchdb: Follower = {
  label: 'pouchdb',
  spec: 'pouchdb-core@9.0.0',
  also: ['pouchdb-adapter-http@9.0.0'],
  program: `
    const PouchDB = require('pouchdb-core').plugin(require('pouchdb-adapter-http'));
    const { REGISTRY, SINCE } = process.env;
    const changes = new PouchDB(REGISTRY + '/registry', { skip_setup: true }).changes({ live: true, since: Number(SINCE) });
    changes.on('change', ({ seq, id }) => console.log(seq + ' ' + id));
  `,
};

/** What `npm test` follows with. */
export const everydayFollowers: readonly Follower[] = [changesStream, nano];

/** What `npm run test:clients` follows with, besides. */
export const furtherFollowers: readonly Follower[] = [
  concurrentCouchFollower,
  followContinuously,
  followPolling,
  followRegistry,
  pouchdb,
];
