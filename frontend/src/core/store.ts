/** A value that others can watch: the page's only way to share state. */

export type Unsubscribe = () => void;

export class Store<T extends object> {
  private readonly watchers = new Set<(state: T, changed: ReadonlySet<keyof T>) => void>();

  constructor(private state: T) {}

  get(): Readonly<T> {
    return this.state;
  }

  /** Merge a change; watchers run once, with the names of the fields whose value is another one now. */
  set(change: Partial<T>): void {
    const changed = new Set<keyof T>();
    for (const name of Object.keys(change) as (keyof T)[]) {
      if (!Object.is(this.state[name], change[name])) changed.add(name);
    }
    if (changed.size === 0) return;
    this.state = { ...this.state, ...change };
    for (const watcher of [...this.watchers]) watcher(this.state, changed);
  }

  /** Run now and whenever one of the named fields changes. */
  watch(names: readonly (keyof T)[], run: (state: Readonly<T>) => void): Unsubscribe {
    const watcher = (state: T, changed: ReadonlySet<keyof T>): void => {
      if (names.some((name) => changed.has(name))) run(state);
    };
    this.watchers.add(watcher);
    run(this.state);
    return () => this.watchers.delete(watcher);
  }
}
