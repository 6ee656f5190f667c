// What a form changed. Only that is sent: what another user saved meanwhile stays.

/** The fields of `now` that differ from those that the form began with. */
export function changed<T extends object>(opened: T, now: T): Partial<T> {
  const names = Object.keys(now) as (keyof T)[];
  return Object.fromEntries(names.filter((name) => now[name] !== opened[name]).map((name) => [name, now[name]])) as Partial<T>;
}
