/** `hosts`: what an origin's operator does with hosts, over the admin socket of the running server. */
import { readHostId } from '../core/setting-values.ts';
import { columns } from '../core/text-table.ts';
import { callAdmin } from '../io/admin-socket.ts';
import type { HostListing } from '../origin/hosts/host-views.ts';
import { originDirOf } from './origin-dir.ts';

/** What is shown of a row of `GET /hosts` on the admin socket. */
export type ShownHost = Omit<HostListing, 'software' | 'applied' | 'heartbeat' | 'size'>;

/** Prints applications and hosts in columns. */
export async function listHosts(data: string): Promise<void> {
  const hosts = (await callAdmin(originDirOf(data), 'GET', ['hosts'])) as ShownHost[];
  process.stdout.write(formatHosts(hosts));
}

/** Admits a host. The origin first fetches a proof that the host answers at its URL. */
export async function approveHost(data: string, id: string): Promise<void> {
  await callAdmin(originDirOf(data), 'POST', ['hosts', readHostId(id), 'approve']);
  process.stdout.write(`host ${id} is approved\n`);
}

/** Takes a host out of the rotation. */
export async function removeHost(data: string, verb: 'suspend' | 'evict', id: string, reason: string): Promise<void> {
  await callAdmin(originDirOf(data), 'POST', ['hosts', readHostId(id), verb], { reason });
  process.stdout.write(`host ${id} is ${verb === 'evict' ? 'evicted' : 'suspended'}\n`);
}

/** The listing as text. */
export function formatHosts(hosts: readonly ShownHost[]): string {
  if (hosts.length === 0) return 'no host has applied yet\n';
  const rows = hosts.map((host) => [
    host.id,
    host.standing,
    stateOf(host),
    host.url,
    host.operator ?? '',
    host.trusted ? 'trusted' : '',
    host.reason ?? '',
  ]);
  return columns([['ID', 'STANDING', 'NOW', 'URL', 'OPERATOR', 'TRUST', 'REASON'], ...rows]);
}

function stateOf(host: ShownHost): string {
  const state = host.present ? presentStateOf(host) : 'away';
  return host.private ? `${state}, private` : state;
}

function presentStateOf({ standing, healthy, behind, withdrawals }: ShownHost): string {
  if (standing !== 'approved') return 'here';
  if (!healthy) return 'unwell';
  if (withdrawals === 'kept') return 'unwell';
  return behind || withdrawals === 'missed' ? 'behind' : 'here';
}
