import type { IncomingMessage } from "node:http";

/** One thing to ask for. Which members go with a type, kinds() tells. */
export interface Item {
  type: "identity" | "contacts" | "calendar" | "files" | "clipboard" | "secret" | "notify" | "url";
  /** "email", or "email?": can do without. */
  fields?: string[];
  max?: number;
  /** RFC 3339. */
  from?: string;
  to?: string;
  name?: string;
  url?: string;
  title?: string;
  body?: string;
}

export interface Given {
  type: Item["type"];
  /** "granted", "partial", or the code of an error. */
  status: string;
  grant?: string;
  values: Record<string, unknown>;
  records: Record<string, unknown>[];
  withheld: string[];
}

export interface Answer {
  status: "granted" | "partial";
  items: Given[];
}

export interface Options {
  /** One sentence that the user reads. */
  purpose: string;
  /** Seconds; without it, as long as the user may take. */
  wait?: number;
  retain?: boolean;
}

export interface Kind {
  name: Item["type"];
  title: string;
  action: string;
  fields?: { name: string; format: string }[];
  many?: boolean;
  needs?: string[];
  takes?: string[];
}

export interface Grant {
  grant: string;
  kind: string;
  fields?: string[];
  expires?: string;
}

export class ConsentryError extends Error {
  code: string;
  detail: string;
  readonly denied: boolean;
  readonly again: boolean;
}

export function request(items: Item[], options: Options): Promise<Answer>;
export function kinds(): Promise<Kind[]>;
export function grants(): Promise<Grant[]>;
export function giveBack(grant: string): Promise<void>;
export function openFile(handle: string): Promise<IncomingMessage>;
