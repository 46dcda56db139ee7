// Where an export goes, as a port: a folder in which files grow and small files are replaced whole.

export interface ExportFile {
  append(bytes: Uint8Array): Promise<void>;
  /** Resolves once everything appended is durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface ExportFolder {
  /** Size in bytes, undefined when there is no such file. */
  size(name: string): Promise<number | undefined>;
  /** Opens for appending after the first `size` bytes; what stood beyond is cut off. Makes the file when `size` is 0. */
  open(name: string, size: number): Promise<ExportFile>;
  /** Text of a small file, undefined when there is none. */
  read(name: string): Promise<string | undefined>;
  /** Puts a small file: after a crash it is the old one or the new one, whole. Durable when it resolves. */
  replace(name: string, text: string): Promise<void>;
  /** Durable when it resolves; replaces what stood under the new name. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file if it is there. */
  remove(name: string): Promise<void>;
}
