// JSON as a type: what may enter a policy input, a row or a manifest. Parsed once at a boundary, immutable inside.

export type JsonScalar = null | boolean | number | string;
export type Json = JsonScalar | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}
