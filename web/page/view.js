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

/** Says what a network takes: a drawn digit, an image file, or numbers. */
export function showInvitation({ kind, shape }) {
  for (const id of ['drawing', 'undo', 'samples-box', 'drawing-help-box']) element(id).hidden = kind !== 'digits';
  element('file-box').hidden = kind === 'numbers';
  element('numbers-box').hidden = kind !== 'numbers';
  const [hash, textContent] = SKIP[kind];
  Object.assign(element('skip'), { hash, textContent });
  const [words, preview] = WORDS[kind](shape);
  element('preview').ariaLabel = `What will be encrypted: ${preview}`;
  for (const [id, text] of Object.entries(words)) show(id, text);
}

/** Says what is wrong with what was entered; nothing where nothing is. */
export function showProblem(problem) {
  show('numbers-problem', problem || '');
  element('numbers').ariaInvalid = String(Boolean(problem));
}

const SKIP = {
  digits: ['#drawing', 'Skip to the drawing area'],
  images: ['#file', 'Skip to the image file'],
  numbers: ['#numbers', 'Skip to the numbers'],
};

const WORDS = {
  digits: (shape) => [DIGITS(pixels(shape)), `the picture as ${shape[2]} by ${shape[1]} pixels`],
  images: (shape) => [IMAGES(pixels(shape)), `the picture as ${shape[2]} by ${shape[1]} pixels`],
  numbers: ([channels, height, width]) => [NUMBERS(channels * height * width), 'the numbers, a grey for each'],
};

const pixels = ([channels, height, width]) => `${width} \u00d7 ${height} ${channels === 1 ? 'grey ' : ''}pixels`;

const NUMBERS = (count) => ({
  invitation: 'Enter numbers. The\u00a0server will judge them blindfolded.',
  'subject-title': 'Your numbers',
  'subject-hint': `Enter ${count} numbers below`,
  'subject-note': 'Each number is a grey here; the numbers themselves will be encrypted.',
  'numbers-label': `${count} numbers, as the network was trained on them:`,
});

const DIGITS = (pixels) => ({
  invitation: 'Draw a digit. The\u00a0server will read it blindfolded.',
  'subject-title': 'Your drawing',
  'subject-hint': 'Draw here: one digit, 0 to 9',
  'subject-note': `Corner: the ${pixels} to encrypt.`,
  'file-label': 'Or an image file, a white digit on black:',
});

const IMAGES = (pixels) => ({
  invitation: 'Choose a picture. The\u00a0server will name it blindfolded.',
  'subject-title': 'Your picture',
  'subject-hint': 'Choose an image file below',
  'subject-note': `Its middle is shrunk in this page, to ${pixels}: they will be encrypted.`,
  'file-label': 'Image file:',
});

/** The scores as bars around a common zero; without scores, the bars alone. */
export function showScores(labels, scores) {
  const list = element('scores');
  const [least, largest] = scores ? [Math.min(0, ...scores), Math.max(0, ...scores)] : [0, 1];
  const share = (score) => (100 * score) / (largest - least || 1);
  const best = scores?.indexOf(Math.max(...scores));
  element('answer-panel').classList.toggle('words', labels.some((label) => label.length > 2));
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
