/**
 * How a disk budget is divided: what packages are made of takes up to a quarter, packuments that are kept compressed up to
 * a tenth, and tarballs, which nobody else needs to be made of, get all that these two leave.
 */
export type DiskShares = { readonly packages: number; readonly forms: number };

/** @param budget bytes */
export function sharesOf(budget: number): DiskShares {
  return { packages: Math.floor(budget / 4), forms: Math.floor(budget / 10) };
}
