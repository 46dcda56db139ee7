// Who made the record, as every schema names it. The version is that of the row schema and engine, which the row carries, not
// that of the hub which happens to export it: the same row exported twice by different releases is the same text.

export const VENDOR = 'Weir';
export const PRODUCT = 'Weir';
