// The accessibility checker axe-core (MPL-2.0): in tests alone, from the registry, no part of what is shipped.

import assert from 'node:assert/strict';
import axe from 'axe-core';

/** Everything that axe knows: rules of WCAG 2.2 up to AA, and its good practices. */
const RULES = { rules: { 'target-size': { enabled: true } } };

/** Fails where a page as it stands breaks a rule. */
export async function assertAccessible(page, state) {
  await page.evaluate(axe.source);
  const found = await page.evaluate((rules) => globalThis.axe.run(document, rules), RULES);
  assert.ok(found.passes.length > 20, `${state}: axe looked at the page`);
  const broken = found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target }) => target).join(' ')}`);
  assert.deepEqual(broken, [], state);
}
