// The drawing area: strokes by mouse, finger, pen or keyboard. Points lie in a square of side 1.

/** Width of the ink, and the step of the keyboard's pen. */
const INK = 0.075;
const STEP = 1 / 28;
/** How long the keyboard's pen must rest before its place is said. */
const REST = 500;

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Sketch extends EventTarget {
  strokes = [];
  #canvas;
  #say;
  #pen = null;
  #down = false;
  #rest = 0;

  /** Draws on `canvas`; `say` gets what a screen reader should say. Sends `change`, `begin` and `done` (Enter) events. */
  constructor(canvas, say) {
    super();
    [this.#canvas, this.#say] = [canvas, say];
    this.#listen('pointerdown', this.#press);
    this.#listen('pointermove', this.#drag);
    for (const end of ['pointerup', 'pointercancel']) this.#listen(end, this.#release);
    this.#listen('keydown', this.#key);
    this.#listen('blur', () => this.#leave());
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  get empty() {
    return this.strokes.length === 0;
  }

  /** Replaces the drawing. */
  set(strokes) {
    this.strokes = strokes;
    this.#down = false;
    this.#changed();
  }

  undo() {
    if (!this.empty) this.set(this.strokes.slice(0, -1));
  }

  clear() {
    this.set([]);
  }

  draw() {
    const canvas = this.#canvas;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext('2d');
    const style = getComputedStyle(canvas);
    context.setTransform(side, 0, 0, side, 0, 0);
    context.clearRect(0, 0, 1, 1);
    context.lineCap = context.lineJoin = 'round';
    context.lineWidth = INK;
    context.strokeStyle = style.color;
    for (const stroke of this.strokes) line(context, stroke);
    if (this.#pen) this.#drawPen(context, style);
  }

  #drawPen(context, style) {
    context.beginPath();
    context.arc(...this.#pen, INK / 2 + 0.012, 0, 2 * Math.PI);
    context.lineWidth = 0.01;
    context.strokeStyle = style.getPropertyValue('--accent');
    context.stroke();
    if (!this.#down) return;
    context.fillStyle = style.getPropertyValue('--accent');
    context.fill();
  }

  #listen(event, listener) {
    this.#canvas.addEventListener(event, listener.bind(this));
  }

  #changed() {
    this.draw();
    this.dispatchEvent(new Event('change'));
  }

  #press(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pen = null;
    this.#begin(this.#place(event));
  }

  #drag(event) {
    if (!this.#canvas.hasPointerCapture(event.pointerId)) return;
    // All the points that a frame has collected, so that fast strokes stay round.
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) this.strokes.at(-1)?.push(this.#place(move));
    this.#changed();
  }

  #release(event) {
    if (this.#canvas.hasPointerCapture(event.pointerId)) this.#canvas.releasePointerCapture(event.pointerId);
  }

  #place(event) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return [inside((event.clientX - left) / width), inside((event.clientY - top) / height)];
  }

  #begin(point) {
    this.strokes = [...this.strokes, [point]];
    this.dispatchEvent(new Event('begin'));
    this.#changed();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      ' ': () => this.#toggle(),
      Enter: () => this.dispatchEvent(new Event('done')),
      Escape: () => this.clear(),
      Backspace: () => this.undo(),
      Delete: () => this.undo(),
    };
    const arrow = ARROWS[event.key];
    const action = arrow ? () => this.#move(arrow) : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #move([dx, dy]) {
    const [x, y] = this.#pen ?? [0.5 - dx * STEP, 0.5 - dy * STEP];
    this.#pen = [inside(x + dx * STEP), inside(y + dy * STEP)];
    if (this.#down) this.strokes.at(-1).push(this.#pen);
    this.#changed();
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#say(`Pen ${this.#down ? 'down' : 'up'}, ${this.#where()}`), REST);
  }

  #toggle() {
    this.#pen ??= [0.5, 0.5];
    this.#down = !this.#down;
    if (this.#down) this.#begin(this.#pen);
    else this.draw();
    this.#say(`Pen ${this.#down ? 'down' : 'up'}, ${this.#where()}`);
  }

  #where() {
    const [column, row] = this.#pen.map((x) => 1 + Math.min(27, Math.floor(x * 28)));
    return `column ${column}, row ${row} of 28`;
  }

  #leave() {
    [this.#pen, this.#down] = [null, false];
    this.draw();
  }
}

const inside = (x) => Math.min(1 - INK / 2, Math.max(INK / 2, x));

function line(context, stroke) {
  context.beginPath();
  context.moveTo(...stroke[0]);
  // A stroke of one point is a dot: a line of no length with round ends.
  for (const point of stroke.length === 1 ? stroke : stroke.slice(1)) context.lineTo(...point);
  context.stroke();
}
