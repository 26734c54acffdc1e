// Files of numbers: tables in CSV, and JSON. What is wrong is named by row and column.

import { InputError } from './client/errors.js';
import { found, numberOf } from './numbers.js';

/** The largest file that is read. */
const LARGEST = 16 * 2 ** 20;

/**
 * Reads a file for a network that takes numbers of these names: its rows as texts, the line of the first one, and which columns hold the
 * network's numbers, in its order.
 */
export async function readTable(file, names) {
  if (file.size > LARGEST) throw wrong('The file is too large to be read here.', 'at most 16 MiB', `${Math.ceil(file.size / 2 ** 20)} MiB`);
  const text = (await file.text()).replace(/^\uFEFF/, '');
  const { header, rows } = /\.json$/i.test(file.name) ? fromJson(text, names.length) : fromCsv(text);
  if (!rows.length) throw wrong('The file has no row of numbers.', `a row of ${names.length} numbers`, header ? 'a header alone' : 'nothing');
  return { rows, first: header ? 2 : 1, columns: columnsOf(header, rows[0].length, names) };
}

/** The numbers of a row, counted from 0. */
export function rowOf({ rows, first, columns }, index, names) {
  const row = rows[index];
  const least = Math.max(...columns) + 1;
  if (row.length < least) throw wrong(`Row ${first + index} is too short.`, `${least} columns`, String(row.length));
  return Float64Array.from(columns, (column, i) => {
    const number = numberOf(row[column]);
    if (number !== null) return number;
    throw wrong(`Row ${first + index}, column ${column + 1} (${names[i]}) is no number.`, 'a number such as 1.5', found(row[column]));
  });
}

/** By name where the header has all names; else by place, without labels and row numbers. */
function columnsOf(header, width, names) {
  const places = names.map((name) => (header ? header.indexOf(name) : -1));
  if (!places.includes(-1)) return places;
  if (places.some((place) => place >= 0)) throw wrong(`The file has no column \u201c${names[places.indexOf(-1)]}\u201d.`, names.join(', '), header.join(', '));
  const columns = Array.from({ length: width }, (_, column) => column).filter((column) => header?.[column]?.toLowerCase() !== 'label');
  if (columns.length > names.length && header?.[0] === '') columns.shift();
  // A table's last column is its label, where none is called so.
  if (columns.length > names.length && header && columns.length === width) columns.pop();
  if (columns.length === names.length) return columns;
  throw wrong('The network takes another number of columns.', `${names.length} columns of numbers`, String(columns.length));
}

/** The rows of a CSV file; the first one is a header where none of it is a number. */
function fromCsv(text) {
  const rows = records(text).filter((row) => row.length > 1 || row[0].trim());
  const headed = rows.length > 0 && rows[0].every((cell) => numberOf(cell) === null);
  return headed ? { header: rows[0].map((cell) => cell.trim()), rows: rows.slice(1) } : { header: null, rows };
}

/** Fields between commas, semicolons or tabs, whichever the first line has most of; in quotes as in RFC 4180. */
function records(text) {
  const [line] = text.split(/[\r\n]/, 1);
  const [delimiter] = [',', ';', '\t'].sort((a, b) => line.split(b).length - line.split(a).length);
  const field = new RegExp(`"((?:[^"]|"")*)"|([^\\r\\n${delimiter}]*)`, 'y');
  const rows = [[]];
  for (let at = 0; at <= text.length; at++) {
    field.lastIndex = at;
    const [, quoted, bare] = field.exec(text);
    rows.at(-1).push(quoted?.replaceAll('""', '"') ?? bare);
    at = field.lastIndex;
    if (text[at] === '\r' && text[at + 1] === '\n') at++;
    if (text[at] === '\n' || text[at] === '\r') rows.push([]);
  }
  return rows;
}

/** A list of numbers, a list of such lists, or an object with a number for each name. */
function fromJson(text, count) {
  const value = parsed(text);
  if (value === null || typeof value !== 'object') throw wrong('The file holds neither a list nor an object.', `a list of ${count} numbers`, text.slice(0, 20));
  if (!Array.isArray(value)) return { header: Object.keys(value), rows: [Object.values(value).map(cell)] };
  const flat = (list) => [list].flat(Infinity).map(cell);
  const several = value.length > 0 && value.every((row) => Array.isArray(row) && flat(row).length === count);
  return { header: null, rows: several ? value.map(flat) : [flat(value)] };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw wrong('The file is not JSON.', 'a list of numbers', cause.message);
  }
}

const cell = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

const wrong = (what, expected, came) =>
  new InputError('wrong_shape', { what, expected, found: came, remedy: 'Correct the file and choose it again.' });
