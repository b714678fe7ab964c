import { everydayClients, furtherClients, yarn1 } from '../../support/client-table.ts';
import { testThroughFederation } from '../../support/federation.ts';
import { largeApplication } from '../../support/large-application.ts';

testThroughFederation([...everydayClients, ...furtherClients], yarn1, largeApplication);
