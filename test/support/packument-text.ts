import fc, { type Arbitrary } from 'fast-check';
import { anyValue, objectText, spelled } from './json-text.ts';

/** Packuments as text, in any formatting and order, of one to a few versions, with every kind of member that we look at. */

export const packageNames = ['p', '@scope/p'];

type MemberText = readonly [name: string, value: Arbitrary<string>];

const someVersions = fc.uniqueArray(
  fc.constantFrom('0.0.1', '1.0.0', '1.0.0-beta.1', '10.0.0', '2.0.0+b1', '1.0.0beta'),
  {
    minLength: 1,
    maxLength: 4,
  },
);

const isoTime = fc
  .date({ min: new Date('2010-01-01'), max: new Date('2030-01-01'), noInvalidDate: true })
  .chain((date) => spelled(date.toISOString()));

const dependencies = fc
  .dictionary(fc.constantFrom('a', '@b/c', '__proto__', '1'), fc.constantFrom('^1.0.0', '*'))
  .chain((object) => objectText(Object.entries(object).map(([key, range]) => [key, spelled(range)] as const)));

const scripts = fc
  .subarray(['preinstall', 'install', 'postinstall', 'test', 'build'])
  .chain((names) => objectText(names.map((name) => [name, fc.constantFrom('"node x.js"', '""', 'null')] as const)));

/** Members that a manifest may have, each with the values that it usually has, and with any other. */
const manifestMembers: MemberText[] = [
  ['dependencies', dependencies],
  ['devDependencies', dependencies],
  ['peerDependencies', dependencies],
  ['bin', fc.constantFrom('"./x.js"', '{"x":"./x.js"}')],
  ['directories', fc.constantFrom('{}', '{"bin":"./bin"}', '{"lib":"lib"}')],
  ['scripts', scripts],
  ['hasInstallScript', fc.constantFrom('true', 'false', 'null')],
  ['gypfile', fc.constantFrom('true', 'false')],
  ['deprecated', fc.constantFrom('"use q"', 'false')],
  ['engines', fc.constantFrom('{"node":">=0.4"}', '["node >= 0.4"]')],
  ['readme', anyValue],
  ['dist.tarball', anyValue],
  ['__proto__', anyValue],
  ['7', anyValue],
];

/** Takes some of the members, adds the fixed ones, in any order. */
function someOf(members: readonly MemberText[], fixed: readonly MemberText[]): Arbitrary<string> {
  return fc
    .subarray([...members])
    .chain((some) => fc.shuffledSubarray([...some, ...fixed], { minLength: some.length + fixed.length }))
    .chain(objectText);
}

function distText(name: string, version: string): Arbitrary<string> {
  const url = `https://registry.example/${name}/-/p-${version}.tgz`;
  const hashes: MemberText[] = [
    ['shasum', fc.constant(`"${'0a'.repeat(20)}"`)],
    ['integrity', fc.constant(`"sha512-${'A'.repeat(86)}=="`)],
    ['signatures', fc.constant('[{"keyid":"SHA256:k","sig":"c2ln"}]')],
    ['x', anyValue],
  ];
  return someOf(hashes, [['tarball', spelled(url)]]);
}

/** One version's manifest. */
export function manifestText(name: string, version: string): Arbitrary<string> {
  return someOf(manifestMembers, [
    ['name', spelled(name)],
    ['version', spelled(version)],
    ['dist', distText(name, version)],
  ]);
}

/** The packument of `name`. */
export function packumentText(name: string): Arbitrary<string> {
  return someVersions.chain((versions) => {
    const times = [...versions, 'created', 'modified', '0.0.0-gone'].map((key) => [key, isoTime] as const);
    const time = someOf([...times, ['unpublished', anyValue], ['__proto__', isoTime]], []);
    const others: MemberText[] = ['_id', '_rev', '_attachments', 'readme', 'modified', '__proto__', '3'].map((key) => [
      key,
      anyValue,
    ]);
    return someOf(
      [['time', time], ...others],
      [
        ['name', spelled(name)],
        ['dist-tags', objectText([['latest', spelled(versions[0] ?? '')]])],
        ['versions', objectText(versions.map((version) => [version, manifestText(name, version)] as const))],
      ],
    );
  });
}
