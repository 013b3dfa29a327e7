import { divergeEarly, type Form, formsOf, type Value } from './forms.ts';
import { SchemaError } from './schema-node.ts';

/** How many ways to read an answer may be open at a time; each costs as much as the whole grammar of one. */
const MAX_READINGS = 64;

/**
 * Refuses a schema whose answers can be read in very many ways at a time. llama.cpp follows all of them with each token,
 * and where a choice between look-alikes is nested in itself they double with each level.
 *
 * @throws SchemaError that names the choice.
 */
export function refuseAmbiguity(values: Iterable<Value>): void {
  const choices = Array.from(values, (value) => {
    const forms = formsOf(value);
    const alike = forms.map((form) => forms.filter((other) => other === form || !divergeEarly(form, other)));
    return { value, alike };
  });
  const readings = new Map<Value, number>(choices.map(({ value }) => [value, 1]));
  const inside = ({ children }: Form): number => Math.max(1, ...children.map((child) => readings.get(child) ?? 1));
  // Grows to a fixed point: without end where a choice between look-alikes contains itself.
  for (let changed = true; changed; ) {
    changed = false;
    for (const { value, alike } of choices) {
      const most = Math.max(...alike.map((forms) => forms.reduce((sum, form) => sum + inside(form), 0)));
      if (most <= (readings.get(value) ?? 1)) continue;
      if (most > MAX_READINGS) {
        throw new SchemaError(
          value.path,
          'unsupported',
          'has too many choices that look alike: give each a first property with a const of its own',
        );
      }
      readings.set(value, most);
      changed = true;
    }
  }
}
