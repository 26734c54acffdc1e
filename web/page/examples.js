// Inputs to take where one has none at hand: those that the network brings, drawn digits, or made-up numbers.

import { denormalised } from './numbers.js';
import { paintPixels } from './noise.js';
import { SAMPLES, sample } from './samples.js';
import { create, element, plain } from './view.js';

/** Offers examples for a network; `taken` is told the name of the one that was taken. */
export function offerExamples(subject, { samples }, taken) {
  const examples = samples.length ? samples.map((own) => ownExample(subject, own)) : commonExamples(subject);
  const buttons = examples.map(({ name, content, className = '', take }) => {
    const button = create('button', className, content);
    Object.assign(button, { type: 'button', title: name, ariaLabel: `Take ${name}` });
    button.addEventListener('click', () => (take(), taken(name)));
    return button;
  });
  element('samples').replaceChildren(...buttons);
  element('samples').className = subject.isNumbers ? 'named' : '';
  element('samples-box').hidden = !buttons.length;
}

function ownExample(subject, { name, values }) {
  const known = plain(name);
  if (subject.isNumbers) return { name: known, content: known, take: () => subject.enter(values) };
  const image = { pixels: Uint8ClampedArray.from(values), shape: subject.plan.shape };
  const content = create('canvas');
  content.setAttribute('aria-hidden', 'true');
  paintPixels(content, image.pixels, image.shape);
  return { name: known, content, className: 'seen', take: () => subject.show(image) };
}

function commonExamples(subject) {
  if (subject.isNumbers) return [{ name: 'made-up numbers', content: 'Made-up numbers', take: () => subject.enter(madeUp(subject.plan)) }];
  if (subject.kind !== 'digits') return [];
  return Array.from({ length: SAMPLES }, (_, digit) => ({
    name: `a drawn ${digit}`,
    content: String(digit),
    take: () => subject.draw(sample(digit)),
  }));
}

/** Random numbers of the size that the network takes. */
function madeUp(plan) {
  const [least, largest] = plan.range;
  const numbers = plan.shape.reduce((product, side) => product * side, 1);
  const drawn = Array.from({ length: numbers }, () => least + Math.random() * (largest - least));
  return denormalised(drawn, plan).map((number) => Number(number.toPrecision(3)));
}
