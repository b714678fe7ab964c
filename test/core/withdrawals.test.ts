import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Look, WITHDRAWAL_LIMITS, WithdrawalWindow } from '../../src/core/withdrawals.ts';

const MINUTE = 60_000;
const gone: Look = { versions: 3, gone: 'all' };
const there: Look = { versions: 3, gone: 0 };

/** What the window says after the last of these looks, which come `everyMs`. */
function after(looks: readonly Look[], everyMs = 0): string | null {
  const window = new WithdrawalWindow();
  return looks.map((look, at) => window.look(look, at * everyMs)).at(-1) ?? null;
}

const times = (n: number, look: Look): Look[] => Array.from({ length: n }, () => look);

test('ten packages may go, the eleventh is too much', () => {
  assert.equal(after(times(10, gone)), null);
  assert.equal(after(times(11, gone)), '11 of the 11 packages looked at within 10 minutes are gone');
});

test('fifty versions may go, the fifty-first is too much', () => {
  assert.equal(after([{ versions: 60, gone: 50 }]), null);
  assert.equal(after([{ versions: 60, gone: 51 }]), '51 of the 60 versions looked at within 10 minutes are gone');
  assert.match(after(times(26, { versions: 3, gone: 2 })) ?? '', /^52 of the 78 versions/);
});

test('half of what was looked at may go, more may not', () => {
  assert.equal(after([...times(11, there), ...times(11, gone)]), null);
  assert.notEqual(after([...times(10, there), ...times(11, gone)]), null);
  assert.equal(after([{ versions: 102, gone: 51 }]), null);
  assert.notEqual(after([{ versions: 101, gone: 51 }]), null);
});

test('versions of a package that is gone as a whole are not counted once more', () => {
  assert.equal(after([{ versions: 5_000, gone: 'all' }]), null);
});

test('what is older than the window counts no more', () => {
  assert.equal(after(times(40, gone), MINUTE), null);
  assert.notEqual(after(times(40, gone), MINUTE / 2), null);
  const window = new WithdrawalWindow();
  for (const look of times(10, gone)) window.look(look, 0);
  assert.notEqual(window.look(gone, 10 * MINUTE - 1), null);
  assert.equal(window.look(gone, 10 * MINUTE), null);
});

test('an upstream that keeps half of what it has never halts us, however much is looked at', () => {
  const pairs = fc.array(fc.record({ look: fc.constantFrom(there, gone), ms: fc.nat(MINUTE) }), { maxLength: 200 });
  fc.assert(
    fc.property(pairs, (looks) => {
      const window = new WithdrawalWindow({ ...WITHDRAWAL_LIMITS, packagesMax: 0, versionsMax: 0 });
      let now = 0;
      for (const { look, ms } of looks) {
        now += ms;
        window.look(there, now);
        assert.equal(window.look(look, now), null);
      }
    }),
  );
});
