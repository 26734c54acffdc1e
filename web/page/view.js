// What the page shows of results.

export const element = (id) => document.getElementById(id);

export function show(id, text) {
  element(id).textContent = text;
}

/** Says something to those who listen to the page. */
export const say = (text) => show('live', text);

export function milliseconds(time) {
  if (time < 10) return `${time.toFixed(1)} ms`;
  return time < 1000 ? `${Math.round(time)} ms` : `${(time / 1000).toFixed(1)} s`;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  const kibibytes = bytes / 1024;
  return kibibytes < 1024 ? `${kibibytes.toFixed(kibibytes < 100 ? 1 : 0)} KiB` : `${(kibibytes / 1024).toFixed(1)} MiB`;
}

/** The scores as bars around a common zero; without scores, the bars alone. */
export function showScores(labels, scores) {
  const list = element('scores');
  const [least, largest] = scores ? [Math.min(0, ...scores), Math.max(0, ...scores)] : [0, 1];
  const share = (score) => (100 * score) / (largest - least || 1);
  const best = scores?.indexOf(Math.max(...scores));
  while (list.children.length < labels.length) list.append(row());
  while (list.children.length > labels.length) list.lastChild.remove();
  labels.forEach((label, i) => {
    const [name, bar, value] = list.children[i].children;
    const score = scores?.[i] ?? 0;
    list.children[i].classList.toggle('best', i === best);
    bar.firstChild.classList.toggle('below', score < 0);
    bar.firstChild.style.left = `${share(Math.min(score, 0) - least)}%`;
    bar.firstChild.style.width = `${share(Math.abs(score))}%`;
    name.textContent = label;
    value.textContent = scores ? minus(score.toFixed(1)) : '';
  });
}

function row() {
  const item = document.createElement('li');
  const [name, bar, value] = ['name', 'bar', 'value'].map((className) => create('span', className));
  bar.setAttribute('aria-hidden', 'true');
  bar.append(create('span', 'fill'));
  item.append(name, bar, value);
  return item;
}

function create(tag, className) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  return made;
}

const minus = (number) => number.replace('-', '\u2212');

/** Where the time of one question went: `[class, name, milliseconds]` each. */
export function showTimes(parts) {
  const total = parts.reduce((sum, [, , time]) => sum + time, 0);
  const bars = parts.map(([className, , time]) => {
    const bar = create('span', className);
    bar.style.width = `${(100 * time) / total}%`;
    return bar;
  });
  const entries = parts.map(([className, name, time]) => {
    const entry = create('li', className);
    entry.append(name, ' ', Object.assign(create('strong'), { textContent: milliseconds(time) }));
    return entry;
  });
  element('timeline').replaceChildren(...bars);
  element('legend').replaceChildren(...entries);
  element('time').hidden = false;
}
