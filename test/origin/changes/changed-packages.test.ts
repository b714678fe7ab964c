import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Entry, formatEntry } from '../../../src/core/entry.ts';
import { sha256Hex } from '../../../src/core/hash.ts';
import type { PackageChange } from '../../../src/core/npm-changes.ts';
import type { PackageRow } from '../../../src/core/tables.ts';
import { type ChangedPackages, createChangedPackages } from '../../../src/origin/changes/changed-packages.ts';

type Step = { readonly name: string; readonly does: 'learn' | 'withdraw' | 'nothing' };

const step: fc.Arbitrary<Step> = fc.record({
  name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  does: fc.constantFrom('learn', 'learn', 'withdraw', 'nothing'),
});

/** A journal made of steps, the rows that are its fold, and the changes that a follower has to be told. */
function journalOf(steps: readonly Step[]) {
  const rows = new Map<string, PackageRow>();
  const newest = new Map<string, { seq: number; deleted: boolean }>();
  const entries = steps.map(({ name, does }, index) => {
    const seq = (rows.get(name)?.seq ?? 0) + 1;
    const time = index + 1;
    if (does === 'nothing') return formatEntry({ kind: 'commit', time });
    newest.set(name, { seq: index + 1, deleted: does === 'withdraw' });
    if (does === 'learn') {
      const entry = { kind: 'learned', time, name, head: sha256Hex(formatEntry({ kind: 'commit', time })) } as const;
      rows.set(name, { head: entry.head, seq, withdrawn: null });
      return formatEntry(entry);
    }
    const entry: Entry = { kind: 'withdraw', time, name, version: '*', deadline: 1, reason: 'x' };
    rows.set(name, { head: null, seq: seq - 1, withdrawn: { reason: 'x', at: time, deadline: 1 } });
    return formatEntry(entry);
  });
  const changes = [...newest].map(([id, { seq, deleted }]) => ({ id, seq, deleted })).sort((a, b) => a.seq - b.seq);
  return { entries, rows, changes };
}

function packagesOf(
  { entries, rows }: Pick<ReturnType<typeof journalOf>, 'entries' | 'rows'>,
  read: (count: number) => void = () => undefined,
): ChangedPackages {
  return createChangedPackages({
    entries: async (from, limit) => {
      const some = entries.slice(from, from + limit);
      read(some.length);
      return some;
    },
    folded: async () => entries.length,
    get: async (_table, key) => (rows.get(key) ?? null) as never,
    count: async () => rows.size,
  });
}

const told = (changes: readonly PackageChange[]) => changes.map(({ id, seq, deleted }) => ({ id, seq, deleted }));

async function walk(packages: ChangedPackages, since: number, limit: number): Promise<PackageChange[]> {
  const to = await packages.newest();
  const all: PackageChange[] = [];
  for (let position = since; position < to; ) {
    const stretch = await packages.after(position, to, limit);
    assert.ok(stretch.position > position && stretch.changes.length > 0 && stretch.changes.length <= limit);
    all.push(...stretch.changes);
    position = stretch.position;
  }
  return all;
}

async function tellsAll(steps: readonly Step[], since: number, limit: number): Promise<void> {
  const journal = journalOf(steps);
  const packages = packagesOf(journal);
  assert.equal(await packages.newest(), journal.changes.at(-1)?.seq ?? 0);
  // From several places, because each reading teaches it what need not be read.
  for (const from of [since, Math.floor(since / 2), 0]) {
    const expected = journal.changes.filter(({ seq }) => seq > from);
    assert.deepEqual(told(await packages.before(await packages.newest(), from, limit)), lastOf(expected, limit));
    assert.deepEqual(told(await walk(packages, from, limit)), expected);
  }
}

const lastOf = <T>(values: readonly T[], limit: number): T[] => values.toReversed().slice(0, limit);

test('pages of any length tell each package once, where it changed last', async () => {
  const few = fc.tuple(fc.array(step, { maxLength: 60 }), fc.nat(60), fc.integer({ min: 1, max: 8 }));
  await fc.assert(fc.asyncProperty(few, (args) => tellsAll(...args)));
});

test('the same for more entries than are read at once', async () => {
  // Most entries are superseded soon, and a few never are.
  const names = fc.oneof({ weight: 300, arbitrary: fc.nat(20) }, { weight: 1, arbitrary: fc.nat(1_000_000) });
  const some = fc.record({ name: names.map((number) => `p${number}`), does: fc.constant<Step['does']>('learn') });
  const steps = fc.array(some, { minLength: 600, maxLength: 1_800, size: 'max' });
  const many = fc.tuple(steps, fc.nat(1_800), fc.constantFrom(1, 2, 400));
  await fc.assert(
    fc.asyncProperty(many, (args) => tellsAll(...args)),
    { numRuns: 40, endOnFailure: true },
  );
});

test('what is superseded is read once, and what comes later is found all the same', async () => {
  const again = (name: string, count: number): Step[] => Array.from({ length: count }, () => ({ name, does: 'learn' }));
  const journal = journalOf([...again('a', 2_100), { name: 'b', does: 'learn' }]);
  let read = 0;
  const packages = packagesOf(journal, (count) => {
    read += count;
  });
  const ids = async () => told(await walk(packages, 0, 10)).map(({ id }) => id);
  assert.deepEqual(await ids(), ['a', 'b']);
  assert.ok(read >= 2_101);
  read = 0;
  assert.deepEqual(await ids(), ['a', 'b']);
  assert.ok(read <= 500, `read ${read} entries once more`);
});

test('the feed goes on with the journal', async () => {
  const journal = journalOf([{ name: 'a', does: 'learn' }]);
  const packages = packagesOf(journal);
  const grow = (step: Step) => {
    const { entries, rows } = journalOf([step]);
    journal.entries.push(...entries);
    for (const [name, row] of rows) journal.rows.set(name, row);
  };
  assert.equal(await packages.newest(), 1);
  grow({ name: 'x', does: 'nothing' });
  assert.equal(await packages.newest(), 1);
  assert.deepEqual(await packages.after(1, 2, 10), { changes: [], position: 2 });
  grow({ name: 'b', does: 'learn' });
  assert.equal(await packages.newest(), 3);
  assert.deepEqual(told((await packages.after(1, 3, 10)).changes), [{ id: 'b', seq: 3, deleted: false }]);
});

test('a page costs no more than some entries, but is not empty before the end', async () => {
  const nothing: Step[] = Array.from({ length: 30_000 }, () => ({ name: 'x', does: 'nothing' }));
  const journal = journalOf([{ name: 'a', does: 'learn' }, ...nothing, { name: 'b', does: 'learn' }]);
  const packages = packagesOf(journal);
  const first = await packages.after(0, 30_002, 10);
  assert.deepEqual([told(first.changes).map(({ id }) => id), first.position], [['a'], 20_000]);
  const second = await packages.after(1, 30_002, 10);
  assert.deepEqual([told(second.changes).map(({ id }) => id), second.position], [['b'], 30_002]);
});
