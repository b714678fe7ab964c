import { randomBytes } from 'node:crypto';
import { toBase64 } from '../../src/core/bytes.ts';
import { signRequest } from '../../src/core/http-signature.ts';
import { type Application, formatApplication } from '../../src/core/membership.ts';
import { type HostKeys, openHostKeys } from '../../src/io/key-file.ts';
import type { HostsOrigin } from './hosts-origin.ts';
import { tempFolder } from './temp-folder.ts';

/** A host that does by hand what a mirror does by itself. */
export type Applicant = {
  readonly id: string;
  readonly keys: HostKeys;
  application(change?: Partial<Application>): Application;
  /** Sends a signed request; `change` alters its headers after signing. */
  send(method: string, path: string, body: Uint8Array | null, change?: Record<string, string>): Promise<Response>;
  apply(change?: Partial<Application>): Promise<Response>;
};

export async function makeApplicant(origin: HostsOrigin, now: () => number = Date.now): Promise<Applicant> {
  const keys = await openHostKeys(tempFolder());
  const id = keys.hostId;
  const application = (change: Partial<Application> = {}): Application => ({
    url: 'http://127.0.0.1:1',
    key: keys.identity.vkey,
    exchange: toBase64(keys.exchange.publicKey),
    private: false,
    operator: 'someone',
    software: 'test',
    ...change,
  });
  const send: Applicant['send'] = (method, path, body, change = {}) => {
    const nonce = randomBytes(18).toString('base64url');
    const created = Math.floor(now() / 1000);
    const request = { method, path, body, logName: origin.keys.logName, keyId: id, created, nonce };
    const headers = { ...signRequest(request, keys.identity.sign), ...change };
    return fetch(origin.url + path, { method, headers, body: body && Buffer.from(body) });
  };
  const apply: Applicant['apply'] = (change) =>
    send('POST', '/-/federation/hosts/apply', formatApplication(application(change)));
  return { id, keys, application, send, apply };
}
