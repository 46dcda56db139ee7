// The header that tells a client that an index document could not be confirmed with upstream. npm prints it as a warning.

/** @param atMs unix milliseconds of the answer */
export function staleWarning(atMs: number): readonly [string, string] {
  return ['warning', `111 weir "Revalidation Failed" "${new Date(atMs).toUTCString()}"`];
}
