import { type HashReader, type NodeId, nodeHash } from '../../src/core/merkle.ts';

/** Reads the hashes of a log with these leaves. Refuses nodes that are no full subtrees of it, and to be asked twice. */
export function readerOf(leafHashes: readonly Uint8Array[]): HashReader {
  const levels = levelsOver(leafHashes);
  return readOnce(({ level, index }) => levels[level]?.[index]);
}

/** Reads the hashes of a log in which all leaves are this one, however many there are. */
export function uniformReader(leafHash: Uint8Array): HashReader {
  const levels = [leafHash];
  while (levels.length < 53) levels.push(nodeHash(levels.at(-1) as Uint8Array, levels.at(-1) as Uint8Array));
  return readOnce(({ level }) => levels[level]);
}

function readOnce(hashOf: (node: NodeId) => Uint8Array | undefined): HashReader {
  return async (nodes) => {
    const names = nodes.map(({ level, index }) => `${level}/${index}`);
    if (nodes.length === 0 || new Set(names).size < names.length) throw new Error(`asked for ${names.join(' ')}`);
    return nodes.map((node, at) => {
      const hash = Number.isSafeInteger(node.index) && node.index >= 0 ? hashOf(node) : undefined;
      if (hash === undefined) throw new Error(`no full subtree ${names[at]}`);
      return hash;
    });
  };
}

/** The hashes of all full subtrees, by level. */
function levelsOver(leafHashes: readonly Uint8Array[]): Uint8Array[][] {
  const levels = [[...leafHashes]];
  for (let below = levels[0] as Uint8Array[]; below.length > 1; below = levels.at(-1) as Uint8Array[]) {
    const pairs = Math.floor(below.length / 2);
    levels.push(
      Array.from({ length: pairs }, (_, at) => nodeHash(below[2 * at] as Uint8Array, below[2 * at + 1] as Uint8Array)),
    );
  }
  return levels;
}
