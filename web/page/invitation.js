// What a network takes, and how the page invites to it: all of it from what the server says of the network.

import { isImageShape } from './client/input.js';
import { SIDE } from './digit.js';
import { element, plain, show } from './view.js';

/** So many classes are named one by one. */
const FEW = 12;

/** What is asked for: `digits` to draw, any other `drawing`, `images`, or `numbers`. */
export function kindOf({ shape, labels }, { dataset }) {
  if (!isImageShape(shape)) return 'numbers';
  const characters = String(shape) === String([1, SIDE, SIDE]) && labels.every((label) => [...label].length === 1);
  if (!characters) return 'images';
  return dataset === 'mnist' ? 'digits' : 'drawing';
}

/** Whether a kind of input can be drawn. */
export const isDrawn = (kind) => kind === 'digits' || kind === 'drawing';

/** Shows what a network takes, what it answers, and what is known of it. */
export function showInvitation(kind, { id, plan, about }) {
  const drawn = isDrawn(kind);
  for (const name of ['drawing', 'undo', 'drawing-help-box']) element(name).hidden = !drawn;
  element('entry').hidden = kind !== 'numbers';
  element('camera-on').hidden = kind === 'numbers' || kind === 'digits';
  element('file').accept = kind === 'numbers' ? '.csv,.tsv,.txt,.json' : 'image/*';
  const [target, name] = SKIP[kind];
  Object.assign(element('skip'), { hash: target, textContent: `Skip to the ${name}` });
  for (const [place, text] of Object.entries({ ...COMMON(plan), ...WORDS[kind](plan) })) show(place, text);
  element('preview').ariaLabel = kind === 'numbers' ? 'What will be encrypted: a grey for each number' : `What will be encrypted: ${pixels(plan)}`;
  show('about', described(id, plan, about));
  element('about').hidden = false;
  document.title = `${plain(id)}, blindfolded: Blindsight`;
}

const SKIP = {
  digits: ['#drawing', 'drawing area'],
  drawing: ['#drawing', 'drawing area'],
  images: ['#file', 'image file'],
  numbers: ['#entry', 'numbers'],
};

const COMMON = (plan) => ({ 'subject-note': `Its middle will be encrypted, as ${pixels(plan)}.` });

const WORDS = {
  digits: (plan) => ({
    invitation: 'Draw a digit. The\u00a0server will read it blindfolded.',
    'subject-title': 'Your drawing',
    'subject-hint': 'Draw here: one digit, 0 to 9',
    'subject-note': `Corner: the ${pixels(plan)} to encrypt.`,
    'file-label': 'Or a file, white on black:',
  }),
  drawing: (plan) => ({
    invitation: 'Draw or choose a picture. The\u00a0server will name it blindfolded.',
    'subject-title': 'Your picture',
    'subject-hint': 'Draw here, or choose an image file',
    'subject-note': `Corner: the ${pixels(plan)} to encrypt.`,
    'file-label': 'Or a file:',
  }),
  images: () => ({
    invitation: 'Choose a picture. The\u00a0server will name it blindfolded.',
    'subject-title': 'Your picture',
    'subject-hint': 'Choose an image file, or drop one here',
    'file-label': 'Image file:',
  }),
  numbers: ({ shape }) => ({
    invitation: 'Enter numbers. The\u00a0server will judge them blindfolded.',
    'subject-title': 'Your numbers',
    'subject-hint': `${count(shape)} numbers`,
    'subject-note': '',
    'file-label': 'Or a table, .csv or .json:',
  }),
};

const count = (shape) => shape.reduce((product, side) => product * side, 1);
const pixels = ({ shape: [channels, height, width] }) => `${width} \u00d7 ${height} ${channels === 1 ? 'grey' : 'colour'} pixels`;

/** Name, description, accuracy and answers of a network, in sentences. */
function described(id, { labels }, { description, accuracy }) {
  const right = accuracy === undefined ? '' : `, right for ${(100 * accuracy).toFixed(1)} % of its test data`;
  const what = description ? `${plain(description)}${right}` : right.slice(2);
  return `${plain(id)}${what && `: ${what}`}. It answers ${answers(labels.map(plain))}.`;
}

function answers(labels) {
  if (labels.length <= FEW) return labels.length > 1 ? `${labels.slice(0, -1).join(', ')} or ${labels.at(-1)}` : labels[0];
  return `one of ${labels.length} classes, such as ${labels[0]}`;
}
