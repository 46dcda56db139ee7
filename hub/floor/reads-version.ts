// Whether compiled rules can tell two versions of a package apart by anything but their evidence. When they cannot, a spoke
// judges one representative of all versions with equal evidence, which is what makes a packument of thousands of versions
// affordable. The answer must never be "no" wrongly, so this follows where the input, the candidate list, a candidate and a
// subject flow, and says "yes" at the first use that it does not understand.

import { asTerms, isTerm, walk, type Expression, type Module, type Rule, type Term } from './ast.ts';

/** What a variable or reference stands for; undefined = something that holds no per-version field. */
type Kind = 'input' | 'candidates' | 'candidate' | 'subject';

/** Fields of `input` beside `candidates`: equal for all candidates. */
const SHARED_FIELDS = new Set(['schema', 'request', 'actor', 'unit', 'context']);
/** Fields of a candidate that belong to its evidence class. */
const CLASS_FIELDS = new Set(['evidence', 'approvals']);
/** Fields of a subject that all versions of a package share. */
const NAME_FIELDS = new Set(['name', 'namespace']);
/** Built-ins that keep findings apart from one another: what comes out says nothing about how many went in. */
const COLLECTING = new Set(['union', 'or', 'sort', 'assign', 'eq', 'array.concat']);

export interface VersionUse {
  readonly file: string;
  readonly line: number;
  readonly why: string;
}

/** The first use that may depend on the version, undefined when there is none. Give it every module that is compiled, without tests. */
export function findVersionUse(modules: readonly Module[]): VersionUse | undefined {
  const analysis = new Analysis(modules);
  try {
    // Parameters learn their kinds from calls, so go round until nothing new is learnt.
    let known = -1;
    while (known !== analysis.parameters.size) {
      known = analysis.parameters.size;
      for (const module of modules) for (const rule of module.rules) analysis.rule(module, rule);
    }
  } catch (thrown) {
    if (thrown instanceof Use) return thrown.use;
    throw thrown;
  }
  return undefined;
}

class Use extends Error {
  readonly use: VersionUse;

  constructor(use: VersionUse) {
    super(use.why);
    this.use = use;
  }
}

/** The rule being read. */
interface Scope {
  readonly module: Module;
  readonly kinds: Map<string, Kind>;
  /** The variables with which its bodies go over candidates or over findings. */
  readonly iterations: Set<string>;
  /** Inside a comprehension or `every`, where results can be counted. */
  readonly collecting: boolean;
  line: number;
}

class Analysis {
  /** Kinds of function parameters, by `package.function#index`. */
  readonly parameters = new Map<string, Kind>();
  readonly #functions = new Set<string>();
  readonly #perCandidate = new Set<string>();

  constructor(modules: readonly Module[]) {
    for (const module of modules) {
      for (const rule of module.rules) {
        const path = [...module.package, rule.name].join('.');
        if (rule.head['args'] !== undefined) this.#functions.add(path);
        if (namesCandidates(rule)) this.#perCandidate.add(path);
      }
    }
  }

  rule(module: Module, rule: Rule): void {
    const scope: Scope = { module, kinds: new Map(), iterations: new Set(), collecting: false, line: rule.line };
    const path = [...module.package, rule.name].join('.');
    for (const [index, parameter] of asTerms(rule.head['args']).entries()) {
      const kind = this.parameters.get(`${path}#${index}`);
      if (kind === undefined) continue;
      if (parameter.type !== 'var') this.#use(scope, 'a pattern takes a candidate apart');
      this.#bind(scope, parameter, kind);
    }
    this.#body(scope, rule.body);
    for (const part of [rule.head['key'], rule.head['value'], ...asTerms(rule.head['ref']).slice(1)]) {
      if (isTerm(part)) this.#harmless(scope, part);
    }
    if (rule.otherwise !== undefined) this.rule(module, rule.otherwise);
  }

  #body(scope: Scope, body: readonly Expression[]): void {
    // Twice: an expression may use a variable that a later one binds.
    for (const expression of body) this.#expression(scope, expression);
    for (const expression of body) this.#expression(scope, expression);
  }

  #expression(scope: Scope, expression: Expression): void {
    scope.line = lineOf(expression) ?? scope.line;
    if (Array.isArray(expression['with']) && expression['with'].length > 0)
      this.#use(scope, '`with` replaces the input');
    const terms = expression['terms'];
    if (Array.isArray(terms)) {
      this.#call(scope, asTerms(terms), expression['negated'] === true);
    } else if (isTerm(terms)) {
      if (this.#kindOf(scope, terms) === undefined) this.#harmless(scope, terms);
    } else if (typeof terms === 'object' && terms !== null && 'symbols' in terms && Array.isArray(terms.symbols)) {
      for (const symbol of terms.symbols) {
        if (isTerm(symbol) && symbol.type === 'call') this.#call(scope, asTerms(symbol.value), false);
      }
    } else if (typeof terms === 'object' && terms !== null && 'domain' in terms) {
      this.#every(scope, { ...terms });
    }
  }

  #every(scope: Scope, every: Readonly<Record<string, unknown>>): void {
    const inner: Scope = { ...scope, collecting: true };
    if (isTerm(every['domain'])) {
      if (this.#kindOf(inner, every['domain']) !== undefined) this.#use(inner, '`every` goes over candidates');
      this.#harmless(inner, every['domain']);
    }
    if (Array.isArray(every['body'])) this.#body(inner, every['body'] as readonly Expression[]);
  }

  #call(scope: Scope, terms: readonly Term[], negated: boolean): void {
    const [operator, ...args] = terms;
    const name = operator === undefined ? '' : dotted(operator);
    if (name === 'internal.member_2' || name === 'internal.member_3') {
      this.#membership(scope, args);
      return;
    }
    if (name === 'assign' || name === 'eq') {
      const [left, right] = args;
      if (left !== undefined && right !== undefined && this.#unify(scope, left, right)) return;
    }
    const target = operator === undefined ? undefined : this.#functionOf(scope, operator);
    for (const [index, argument] of args.entries()) {
      const kind = this.#kindOf(scope, argument);
      if (kind === undefined) {
        if (target === undefined && !COLLECTING.has(name)) this.#uncounted(scope, argument);
        this.#harmless(scope, argument);
        continue;
      }
      if (target === undefined) this.#use(scope, `a whole ${kind} is given to ${name}`);
      const key = `${target}#${index}`;
      const known = this.parameters.get(key);
      if (known !== undefined && known !== kind) this.#use(scope, `${target} is given unlike things`);
      this.parameters.set(key, kind);
    }
    if (negated) for (const argument of args) this.#uncounted(scope, argument);
  }

  /** `some k, v in collection` and `v in collection`. */
  #membership(scope: Scope, args: readonly Term[]): void {
    const collection = args.at(-1);
    const [element, key] = args.slice(0, -1).toReversed();
    if (collection === undefined || element === undefined) return;
    const kind = this.#kindOf(scope, collection);
    if (kind === 'candidates') {
      this.#iterate(scope, key === undefined || isWildcard(key) ? element : key);
      if (key !== undefined && key.type !== 'var') this.#use(scope, 'a position among the candidates is picked');
      if (element.type !== 'var') this.#use(scope, 'a pattern takes a candidate apart');
      this.#bind(scope, element, 'candidate');
      return;
    }
    if (kind !== undefined) this.#use(scope, `the fields of a whole ${kind} are gone over`);
    if (this.#isPerCandidate(scope, collection)) this.#iterate(scope, element);
    for (const part of args) this.#harmless(scope, part);
  }

  /** `x := …` and `x = …`: true when it gave a variable the kind of the other side. */
  #unify(scope: Scope, left: Term, right: Term): boolean {
    const [a, b] = [this.#kindOf(scope, left), this.#kindOf(scope, right)];
    if (b !== undefined && a === undefined && left.type === 'var') {
      this.#bind(scope, left, b);
      return true;
    }
    if (a !== undefined && b === undefined && right.type === 'var') {
      this.#bind(scope, right, a);
      return true;
    }
    return a !== undefined && a === b && left.type === 'var';
  }

  #bind(scope: Scope, variable: Term, kind: Kind): void {
    const name = String(variable.value);
    const known = scope.kinds.get(name);
    if (known !== undefined && known !== kind) this.#use(scope, `${name} stands for unlike things`);
    scope.kinds.set(name, kind);
  }

  #iterate(scope: Scope, variable: Term): void {
    scope.iterations.add(String(variable.value));
    if (scope.collecting) this.#use(scope, 'candidates are collected');
    if (scope.iterations.size > 1) this.#use(scope, 'candidates are compared with one another');
  }

  /** Throws when a whole kinded value, or the findings of all candidates, appears where it could be looked into. */
  #harmless(scope: Scope, term: Term): void {
    const kind = this.#kindOf(scope, term);
    if (kind !== undefined) this.#use(scope, `a whole ${kind} is used as a value`);
    switch (term.type) {
      case 'ref':
        for (const part of asTerms(term.value).slice(1)) this.#harmless(scope, part);
        return;
      case 'call':
        this.#call(scope, asTerms(term.value), false);
        return;
      case 'array':
      case 'set':
        for (const part of asTerms(term.value)) this.#harmless(scope, part);
        return;
      case 'object':
        if (Array.isArray(term.value))
          for (const pair of term.value) for (const part of asTerms(pair)) this.#harmless(scope, part);
        return;
      case 'arraycomprehension':
      case 'setcomprehension':
      case 'objectcomprehension':
        this.#comprehension(scope, term.value as Readonly<Record<string, unknown>>);
        return;
      case 'templatestring':
        this.#template(scope, term);
        return;
      case 'var':
      case 'string':
      case 'number':
      case 'boolean':
      case 'null':
        return;
      default:
        this.#use(scope, `a ${term.type} is not understood`);
    }
  }

  #template(scope: Scope, term: Term): void {
    // Parts are strings or expressions; any reference inside must be a harmless one.
    walk(term.value, (node) => {
      if (isTerm(node) && (node.type === 'ref' || node.type === 'var')) this.#harmless(scope, node);
    });
  }

  #comprehension(scope: Scope, comprehension: Readonly<Record<string, unknown>>): void {
    const inner: Scope = { ...scope, collecting: true };
    if (Array.isArray(comprehension['body'])) this.#body(inner, comprehension['body'] as readonly Expression[]);
    for (const name of ['term', 'key', 'value']) {
      const part = comprehension[name];
      if (isTerm(part)) this.#harmless(inner, part);
    }
  }

  /** What a term stands for. Walking a reference past what is known to be shared is a use. */
  #kindOf(scope: Scope, term: Term): Kind | undefined {
    if (term.type === 'var') return this.#kindOfName(scope, String(term.value));
    if (term.type !== 'ref') return undefined;
    const [head, ...path] = asTerms(term.value);
    if (head === undefined || head.type !== 'var') return undefined;
    let kind = this.#kindOfName(scope, String(head.value));
    for (const part of path) {
      if (kind === undefined) return undefined;
      kind = this.#step(scope, kind, part);
    }
    return kind;
  }

  #kindOfName(scope: Scope, name: string): Kind | undefined {
    const local = scope.kinds.get(name);
    if (local !== undefined) return local;
    if (name === 'input') return 'input';
    const imported = scope.module.imports.find(({ alias }) => alias === name);
    if (imported?.path[0]?.value !== 'input') return undefined;
    let kind: Kind | undefined = 'input';
    for (const part of imported.path.slice(1)) if (kind !== undefined) kind = this.#step(scope, kind, part);
    return kind;
  }

  #step(scope: Scope, kind: Kind, part: Term): Kind | undefined {
    const field = part.type === 'string' ? String(part.value) : undefined;
    switch (kind) {
      case 'input':
        if (field === 'candidates') return 'candidates';
        if (field !== undefined && SHARED_FIELDS.has(field)) return undefined;
        break;
      case 'candidates':
        if (part.type === 'var') {
          this.#iterate(scope, part);
          return 'candidate';
        }
        break;
      case 'candidate':
        if (field === 'subject') return 'subject';
        if (field !== undefined && CLASS_FIELDS.has(field)) return undefined;
        break;
      case 'subject':
        if (field !== undefined && NAME_FIELDS.has(field)) return undefined;
        break;
    }
    return this.#use(scope, `${kind}.${field ?? `<${part.type}>`} is read`);
  }

  #functionOf(scope: Scope, operator: Term): string | undefined {
    const path = this.#dataPath(scope, operator);
    return path !== undefined && this.#functions.has(path) ? path : undefined;
  }

  /** The `data` path that a reference or a name of the package leads to. */
  #dataPath(scope: Scope, term: Term): string | undefined {
    const terms = term.type === 'ref' ? asTerms(term.value) : [term];
    const [head, ...rest] = terms;
    if (head?.type !== 'var') return undefined;
    const tail = rest.filter((part) => part.type === 'string').map((part) => String(part.value));
    const name = String(head.value);
    if (name === 'data') return tail.join('.');
    const imported = scope.module.imports.find(({ alias }) => alias === name);
    if (imported?.path[0]?.value === 'data') {
      return [...imported.path.slice(1).map((part) => String(part.value)), ...tail].join('.');
    }
    return [...scope.module.package, name, ...tail].join('.');
  }

  #isPerCandidate(scope: Scope, term: Term): boolean {
    const path = this.#dataPath(scope, term);
    return path !== undefined && (this.#perCandidate.has(path) || path.endsWith('.findings'));
  }

  /** The findings of all candidates may be collected, never counted, compared or negated. */
  #uncounted(scope: Scope, term: Term): void {
    if ((term.type === 'ref' || term.type === 'var') && this.#isPerCandidate(scope, term)) {
      this.#use(scope, 'the findings of all candidates are weighed together');
    }
  }

  #use(scope: Scope, why: string): never {
    throw new Use({ file: scope.module.file, line: scope.line, why });
  }
}

/** Whether a rule's own text goes over the candidates. */
function namesCandidates(rule: Rule): boolean {
  let found = false;
  walk([rule.head, rule.body, rule.otherwise], (node) => {
    if (node['type'] === 'string' && node['value'] === 'candidates') found = true;
  });
  return found && rule.head['args'] === undefined;
}

/** `_`, which the parser numbers. */
function isWildcard(term: Term): boolean {
  return term.type === 'var' && String(term.value).startsWith('$');
}

function dotted(operator: Term): string {
  const terms = operator.type === 'ref' ? asTerms(operator.value) : [operator];
  return terms.map((part) => String(part.value)).join('.');
}

function lineOf(node: Readonly<Record<string, unknown>>): number | undefined {
  const location = node['location'];
  return typeof location === 'object' && location !== null && 'row' in location && typeof location.row === 'number'
    ? location.row
    : undefined;
}
