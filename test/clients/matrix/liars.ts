// Every lie about everything that a mirror reads of the log, by its origin and by a peer.
import { TRANSPORT_LIES } from '../../support/lies.ts';
import { describeLiar } from '../../support/withstands.ts';

const ABOUT = {
  'the checkpoint': /^checkpoint/,
  'the tiles of level 0': /^tile\/0\//,
  'the tiles of level 1': /^tile\/1\//,
  'the bundles': /^tile\/entries\//,
};

for (const liar of ['origin', 'peer 1'] as const) {
  for (const [about, path] of Object.entries(ABOUT)) describeLiar(liar, about, path, Object.entries(TRANSPORT_LIES));
}
