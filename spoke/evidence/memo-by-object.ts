// Work derived from an immutable document is done once per document: a package with thousands of versions asks the same
// question of the same settings and the same index for each of them. Forgotten together with the document.

/** A function that computes `derive` once per object and returns that same result from then on. */
export function memoByObject<K extends object, V>(derive: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (key) => {
    let entry = known.get(key);
    if (entry === undefined) {
      entry = { value: derive(key) };
      known.set(key, entry);
    }
    return entry.value;
  };
}
