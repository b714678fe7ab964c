import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';

/** One answered request, as the server's socket saw it. */
export interface Visit {
  /** The port of the server, which tells the servers of one process apart. */
  readonly port: number;
  readonly from: string;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly status: number;
  /** Empty where the answer was no redirect. */
  readonly location: string;
}

/** Everything that was answered so far, oldest first. */
export async function readVisits(file: string): Promise<Visit[]> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
}

/** Whether a request carried any credential, or the given secret anywhere at all. */
export function carries(visit: Visit, secret: string): boolean {
  const { authorization, cookie, 'npm-otp': otp } = visit.headers;
  return Boolean(authorization ?? cookie ?? otp) || JSON.stringify([visit.url, visit.headers]).includes(secret);
}
