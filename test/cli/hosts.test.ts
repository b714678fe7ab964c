import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { approveHost, formatHosts, removeHost, type ShownHost } from '../../src/cli/hosts.ts';
import { UsageError } from '../../src/core/errors.ts';
import { type AdminRequest, serveAdmin } from '../../src/io/admin-socket.ts';
import { tempFolder } from '../support/temp-folder.ts';

const host: ShownHost = {
  id: '0123456789abcdef',
  url: 'https://mirror.example',
  standing: 'approved',
  present: true,
  healthy: true,
  behind: false,
  withdrawals: null,
  private: false,
  trusted: false,
  avoidedBy: 0,
  reason: null,
  operator: null,
};

test('hosts are listed in columns, with what they are now', () => {
  const listing = formatHosts([
    host,
    { ...host, id: 'fedcba9876543210', healthy: false, reason: 'served wrong bytes' },
    { ...host, id: '1111111111111111', behind: true, reason: 'does not follow the log' },
    { ...host, id: '2222222222222222', withdrawals: 'missed', reason: 'it missed a withdrawal' },
    { ...host, id: '3333333333333333', withdrawals: 'kept', reason: 'it serves what was withdrawn' },
    { ...host, id: '0000000000000000', standing: 'pending', present: false, private: true },
  ]);
  assert.equal(
    listing,
    [
      'ID                STANDING  NOW            URL                     REASON',
      '0123456789abcdef  approved  here           https://mirror.example',
      'fedcba9876543210  approved  unwell         https://mirror.example  served wrong bytes',
      '1111111111111111  approved  behind         https://mirror.example  does not follow the log',
      '2222222222222222  approved  behind         https://mirror.example  it missed a withdrawal',
      '3333333333333333  approved  unwell         https://mirror.example  it serves what was withdrawn',
      '0000000000000000  pending   away, private  https://mirror.example',
      '',
    ].join('\n'),
  );
  const trusted = formatHosts([
    { ...host, trusted: true },
    { ...host, trusted: false },
  ]);
  assert.deepEqual(
    trusted.split('\n').map((line) => line.slice(58)),
    ['TRUST', 'trusted', '', ''],
  );
  assert.equal(formatHosts([]), 'no host has applied yet\n');
});

test('commands find the origin in the folder of `up`, and send what they were told', async (context) => {
  const written = context.mock.method(process.stdout, 'write', () => true);
  const data = tempFolder();
  await mkdir(join(data, 'origin'));
  const seen: AdminRequest[] = [];
  const admin = await serveAdmin(join(data, 'origin'), async (request) => void seen.push(request));
  await approveHost(data, host.id);
  await removeHost(join(data, 'origin'), 'evict', host.id, 'served wrong bytes');
  await admin.close();
  written.mock.restore();
  assert.deepEqual(seen, [
    { method: 'POST', path: ['hosts', host.id, 'approve'], body: undefined },
    { method: 'POST', path: ['hosts', host.id, 'evict'], body: { reason: 'served wrong bytes' } },
  ]);
  await assert.rejects(approveHost(data, '../x'), UsageError);
});
