// The answer: the best five classes as bars, the others folded away.

import { create, element, plain, show } from './view.js';

/** How many classes are shown without unfolding. */
const BEST = 5;

/** Shows an answer; without one, that there will be as many classes. */
export function showScores(labels, answer = null) {
  const ranking = answer?.top(labels.length) ?? [];
  const bar = barsOf(ranking);
  const rows = answer ? ranking.map(bar) : labels.slice(0, BEST).map(emptyRow);
  element('best').replaceChildren(...rows.slice(0, BEST));
  element('rest').replaceChildren(...rows.slice(BEST));
  element('rest-box').hidden = rows.length <= BEST;
  show('rest-title', `The other ${rows.length - BEST}`);
  const long = labels.some((label) => label.length > 2);
  element('answer-panel').classList.toggle('words', long);
}

/** What the answer comes to, in sentences; that it is too close to call is one of the warnings. */
export function verdict({ name, tooClose, top, warnings }) {
  const [{ probability }] = top(1);
  const sure = probability === null ? '' : ` (${percent(probability)})`;
  return [...(tooClose ? [] : [`The answer is ${name}${sure}.`]), ...warnings.map(sentence)].join(' ');
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

/** A row for each class: its bar is its probability, or its score beside all others, from a common zero. */
function barsOf(ranking) {
  const scores = ranking.map(({ score }) => score);
  const [least, largest] = [Math.min(0, ...scores), Math.max(0, ...scores)];
  const share = (score) => (100 * score) / (largest - least || 1);
  return ({ class: number, name, score, probability }, place) => {
    const likely = probability !== null;
    const [left, width] = likely ? [0, 100 * probability] : [share(Math.min(score, 0) - least), share(Math.abs(score))];
    const made = row(name, likely ? percent(probability) : minus(score.toFixed(1)), left, width);
    made.classList.toggle('best', place === 0);
    made.querySelector('.fill').classList.toggle('below', !likely && score < 0);
    Object.assign(made.dataset, { class: number, score });
    return made;
  };
}

const emptyRow = () => row('', '', 0, 0);

function row(name, value, left, width) {
  const fill = create('span', 'fill');
  Object.assign(fill.style, { left: `${left}%`, width: `${width}%` });
  const bar = create('span', 'bar', fill);
  bar.setAttribute('aria-hidden', 'true');
  return create('li', '', create('span', 'name', plain(name)), bar, create('span', 'value', value));
}

const percent = (share) => `${(100 * share).toFixed(share > 0.0995 ? 0 : 1)} %`;
const minus = (number) => number.replace('-', '\u2212');
