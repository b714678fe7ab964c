import { everydayClients, furtherClients, yarn1 } from '../../support/client-table.ts';
import { testThroughFederation } from '../../support/federation.ts';

testThroughFederation([...everydayClients, ...furtherClients], yarn1);
