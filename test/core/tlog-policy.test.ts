import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MalformedError } from '../../src/core/errors.ts';
import { COSIGNATURE_TYPE, formatVkey } from '../../src/core/note.ts';
import { parsePolicy, satisfies } from '../../src/core/tlog-policy.ts';
import { mutated } from '../support/arbitrary.ts';
import { exampleSigner } from '../support/example-keys.ts';

const keyOf = (label: string) => exampleSigner(label, label).publicKey;
const witness = (label: string) => formatVkey(`example.com/${label}`, keyOf(label), COSIGNATURE_TYPE);
const log = (label: string) => formatVkey(`example.com/${label}`, keyOf(label));
const [x1, x2, x3, y1, y2, y3] = ['X1', 'X2', 'X3', 'Y1', 'Y2', 'Y3'].map(witness) as [
  string,
  string,
  string,
  string,
  string,
  string,
];

// The example of c2sp.org/tlog-policy, with keys.
const example = `log ${log('log')}

witness X1 ${x1}
witness X2 ${x2}
witness X3 ${x3}
group X-witnesses 2 X1 X2 X3

witness Y1 ${y1}
witness Y2 ${y2}
witness Y3 ${y3}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`;

test('the example of the specification is read', () => {
  const policy = parsePolicy(example);
  assert.deepEqual(policy.logs, [{ vkey: log('log'), url: null }]);
  assert.deepEqual(policy.witnesses.slice(2, 4), [
    { name: 'X3', vkey: x3, url: null },
    { name: 'Y1', vkey: y1, url: null },
  ]);
  assert.deepEqual(policy.groups, [
    { name: 'X-witnesses', threshold: 2, members: ['X1', 'X2', 'X3'] },
    { name: 'Y-witnesses', threshold: 1, members: ['Y1', 'Y2', 'Y3'] },
    { name: 'X-and-Y', threshold: 2, members: ['X-witnesses', 'Y-witnesses'] },
  ]);
  assert.equal(policy.quorum, 'X-and-Y');
});

test('the example asks for two of X and one of Y: all 64 cases', () => {
  const policy = parsePolicy(example);
  const keys = [x1, x2, x3, y1, y2, y3];
  for (let set = 0; set < 64; set++) {
    const has = keys.map((_, at) => Math.floor(set / 2 ** at) % 2);
    const [xs, ys] = [has.slice(0, 3), has.slice(3)].map((some) => some.reduce((sum, one) => sum + one, 0));
    const cosigners = keys.filter((_, at) => has[at] === 1);
    assert.equal(satisfies(policy, cosigners), (xs ?? 0) >= 2 && (ys ?? 0) >= 1, has.join(''));
    assert.equal(
      satisfies(policy, [...cosigners, ...cosigners, witness('stranger'), log('log')]),
      satisfies(policy, cosigners),
    );
  }
});

test('a single witness, or nobody, can be the quorum', () => {
  const one = parsePolicy(`witness W ${x1}\nquorum W\n`);
  assert.ok(satisfies(one, [x1]));
  assert.ok(!satisfies(one, [x2]));
  assert.ok(!satisfies(one, []));
  const none = parsePolicy('quorum none');
  assert.deepEqual(none, { logs: [], witnesses: [], groups: [], quorum: null });
  assert.ok(satisfies(none, []));
});

test('k of n means at least k, for all small k and n', () => {
  const keys = [x1, x2, x3, y1, y2, y3];
  for (let n = 1; n <= 6; n++) {
    const lines = keys.slice(0, n).map((vkey, at) => `witness w${at} ${vkey}\n`);
    const members = lines.map((_, at) => `w${at}`).join(' ');
    for (const [rule, k] of [
      ['all', n],
      ['any', 1],
      ...Array.from({ length: n }, (_, at) => [`${at + 1}`, at + 1]),
    ] as const) {
      const policy = parsePolicy(`${lines.join('')}group g ${rule} ${members}\nquorum g\n`);
      for (let cosigned = 0; cosigned <= n; cosigned++) {
        assert.equal(satisfies(policy, keys.slice(0, cosigned)), cosigned >= Number(k), `${rule} of ${n}: ${cosigned}`);
      }
    }
  }
});

test('white space, comments, URLs and a missing last line feed are as the format allows', () => {
  const text = `# a comment — with ümlauts\n\t \n  # another\n\tlog\t ${log('log')}  https://log.example/ \n witness K ${x1} https://w.example/\nquorum  K`;
  assert.deepEqual(parsePolicy(text), {
    logs: [{ vkey: log('log'), url: 'https://log.example/' }],
    witnesses: [{ name: 'K', vkey: x1, url: 'https://w.example/' }],
    groups: [],
    quorum: 'K',
  });
});

test('names that look alike differ', () => {
  assert.throws(() => parsePolicy(`witness K ${x1}\nquorum \u212a\n`), { line: 2 });
});

const w = `witness W ${x1}\nwitness V ${x2}\n`;
const refused: [why: string, text: string, line: number | null][] = [
  ['no quorum', w, null],
  ['nothing in it', '', null],
  ['two quorums', `${w}quorum W\nquorum W\n`, 4],
  ['two quorums that ask for nobody', 'quorum none\nquorum none\n', 2],
  ['an unknown word', `${w}quorum W\nlogs ${log('log')}\n`, 4],
  ['a word in capitals', `${w}Quorum W\n`, 3],
  ['a carriage return', `${w}quorum W\r\n`, 3],
  ['a control character in a comment', `# \u0007\n${w}quorum W\n`, 1],
  ['a quorum of a later line', `quorum W\n${w}`, 1],
  ['a quorum of a log', `log ${log('log')}\nquorum ${log('log')}\n`, 2],
  ['a quorum of two', `${w}quorum W V\n`, 3],
  ['a quorum of nothing', `${w}quorum\n`, 3],
  ['a group of a later line', `${w}group g any h\ngroup h any W\nquorum g\n`, 3],
  ['a group of itself', `${w}group g any g\nquorum g\n`, 3],
  ['a group of none', `${w}group g any none\nquorum g\n`, 3],
  ['an empty group', `${w}group g any\nquorum g\n`, 3],
  ['a group without a rule', `${w}group g\nquorum g\n`, 3],
  ['a group of 0', `${w}group g 0 W\nquorum g\n`, 3],
  ['a group of more than there are', `${w}group g 3 W V\nquorum g\n`, 3],
  ['a group of 01', `${w}group g 01 W\nquorum g\n`, 3],
  ['a group of some', `${w}group g some W\nquorum g\n`, 3],
  ['a member twice in a group', `${w}group g 2 W W\nquorum g\n`, 3],
  ['a member of two groups', `${w}group g any W\ngroup h any W\nquorum h\n`, 4],
  ['a name twice', `${w}witness W ${x3}\nquorum W\n`, 3],
  ['a group named as a witness', `${w}group W any V\nquorum W\n`, 3],
  ['a witness named none', `witness none ${x1}\nquorum none\n`, 1],
  ['a group named none', `${w}group none any W\nquorum none\n`, 3],
  ['a witness without a key', `witness W\nquorum W\n`, 1],
  ['a witness with a word too many', `witness W ${x1} https://w.example/ more\nquorum W\n`, 1],
  ['a witness with a log’s key', `witness W ${log('X1')}\nquorum W\n`, 1],
  ['a witness with a broken key', `witness W ${x1.slice(0, -1)}\nquorum W\n`, 1],
  [
    'a witness’s key under another name',
    `${w}witness U ${formatVkey('example.com/U', keyOf('X1'), COSIGNATURE_TYPE)}\nquorum U\n`,
    3,
  ],
  ['a log without a key', 'log\nquorum none\n', 1],
  ['a log with a witness’s key', `log ${x1}\nquorum none\n`, 1],
  [
    'a log’s key under another name',
    `log ${log('log')}\nlog ${formatVkey('example.com/other', keyOf('log'))}\nquorum none\n`,
    2,
  ],
];
for (const [why, text, line] of refused) {
  test(`a policy with ${why} is refused`, () => {
    assert.throws(() => parsePolicy(text), { name: 'MalformedError', format: 'tlog-policy', line });
  });
}

test('as many logs, witnesses and groups are read as the format asks for, and not any number', () => {
  const indexes = Array.from({ length: 100 }, (_, at) => at);
  const lines = [
    ...indexes.map((at) => `log ${log(`log ${at}`.replace(' ', '-'))}`),
    ...indexes.map((at) => `witness w${at} ${witness(`witness-${at}`)}`),
    ...indexes.map((at) => `group g${at} any w${at}`),
    `group all-of-them 32 ${indexes.map((at) => `g${at}`).join(' ')}`,
    'quorum all-of-them',
  ];
  const policy = parsePolicy(lines.join('\n'));
  assert.ok(
    satisfies(
      policy,
      policy.witnesses.slice(0, 32).map(({ vkey }) => vkey),
    ),
  );
  assert.ok(
    !satisfies(
      policy,
      policy.witnesses.slice(0, 31).map(({ vkey }) => vkey),
    ),
  );
  assert.throws(() => parsePolicy('\n'.repeat(1_000)), /1001 lines, at most 1000 are allowed/);
});

test('a changed byte makes another policy or none, and never one that nobody has to cosign', () => {
  fc.assert(
    fc.property(mutated(Buffer.from(example)), (bytes) => {
      try {
        assert.ok(!satisfies(parsePolicy(new TextDecoder().decode(bytes)), []));
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }),
    { numRuns: 1_000 },
  );
});
