import { everydayClients, yarn1 } from '../support/client-table.ts';
import { testThroughFederation } from '../support/federation.ts';

testThroughFederation(everydayClients, yarn1);
