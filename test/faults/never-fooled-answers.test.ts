// Whatever a source of the log answers instead of what it was asked for, a mirror keeps what it has, serves it, asks no more
// than it should, and goes on as soon as someone is honest. All lies about everything: test/clients/matrix/liars.ts.
import { TRANSPORT_LIES } from '../support/lies.ts';
import { describeLiar } from '../support/withstands.ts';

const every = (nth: number, from = 0) => Object.entries(TRANSPORT_LIES).filter((_, at) => at % nth === from);

describeLiar('origin', 'the checkpoint', /^checkpoint/, every(2));
describeLiar('peer 1', 'the bundles', /^tile\/entries\//, every(2, 1));
describeLiar('origin', 'the tiles', /^tile\/[01]\//, every(9));
