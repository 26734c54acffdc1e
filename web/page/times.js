// Where the time of one question went.

import { create, element, milliseconds, show } from './view.js';

/** Shows parts, `[class, name, milliseconds]` each. */
export function showTimes(parts) {
  const total = parts.reduce((sum, [, , time]) => sum + time, 0);
  const bars = parts.map(([className, , time]) => {
    const bar = create('span', className);
    bar.style.width = `${(100 * time) / total}%`;
    return bar;
  });
  const entry = ([className, name, time]) => create('li', className, name, ' ', create('strong', '', milliseconds(time)));
  element('timeline').replaceChildren(...bars);
  element('legend').replaceChildren(...parts.map(entry));
  element('time').hidden = false;
  show('time-total', milliseconds(total));
}
