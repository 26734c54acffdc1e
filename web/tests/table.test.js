// Files of numbers, as the page reads them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import './support/served.js';

const { readTable, rowOf } = await import('../page/table.js');

const NAMES = ['age', 'height', 'weight'];

/** All rows of a file, as numbers. */
async function rows(name, text, names = NAMES) {
  const table = await readTable(new File([text], name), names);
  return table.rows.map((_, i) => [...rowOf(table, i, names)]);
}

/** A file is refused, and the message says all of this. */
async function refused(name, text, ...said) {
  await assert.rejects(rows(name, text), (error) => {
    for (const part of [...said, 'Correct the file']) assert.ok(error.message.includes(part), `${part}: ${error.message}`);
    return true;
  });
}

test('columns are taken by name, in whatever order they stand', async () => {
  assert.deepEqual(await rows('a.csv', 'weight,label,age,height\n70,x,39,1.75\n60,y,27,1.6\n'), [[39, 1.75, 70], [27, 1.6, 60]]);
  assert.deepEqual(await rows('a.json', '{"weight": 70, "age": 39, "height": 1.75}'), [[39, 1.75, 70]]);
});

test('columns without such names are taken by place, without row numbers and labels', async () => {
  const right = [[39, 1.75, 70]];
  for (const text of ['39,1.75,70', 'a,b,c\r\n39,1.75,70\r\n', ',a,b,c\n0,39,1.75,70', 'a,b,c,kind\n39,1.75,70,x', 'Label,a,b,c\nx,39,1.75,70']) {
    assert.deepEqual(await rows('a.csv', text), right, text);
  }
  assert.deepEqual(await rows('a.json', '[39, [1.75, 70]]'), right);
  assert.deepEqual(await rows('a.json', '[[1, 2, 3], [4, 5, 6]]'), [[1, 2, 3], [4, 5, 6]]);
});

test('semicolons, tabs, quotes, a byte order mark', async () => {
  assert.deepEqual(await rows('a.csv', '\uFEFF1;2;3\n4;5;6'), [[1, 2, 3], [4, 5, 6]]);
  assert.deepEqual(await rows('a.tsv', '1\t-2e-1\t+.5'), [[1, -0.2, 0.5]]);
  const names = ['age, in years', 'a "b"', 'two\nlines'];
  assert.deepEqual(await rows('a.csv', '"two\nlines","age, in years","a ""b"""\n3,"1",2', names), [[1, 2, 3]]);
});

test('what is no number is named by row and column', async () => {
  await refused('a.csv', 'age,height,weight\n39,oops,70', 'Row 2, column 2 (height)', 'Expected: a number such as 1.5', 'Found: \u201coops\u201d');
  await refused('a.csv', '1,2,3\n4,NaN,6', 'Row 2, column 2 (height)', '\u201cNaN\u201d');
  await refused('a.csv', '1,2,', 'Row 1, column 3 (weight)', 'Found: nothing');
  await refused('a.csv', '1,2,0x10', '\u201c0x10\u201d');
  await refused('a.csv', '1,2,1e999', '\u201c1e999\u201d');
  await refused('a.json', '[1, null, 3]', 'Row 1, column 2 (height)', '\u201cnull\u201d');
});

test('another number of columns, and files that are none, say what was expected and what came', async () => {
  await refused('a.csv', '1,2', 'Expected: 3 columns of numbers', 'Found: 2');
  await refused('a.csv', 'age,size,weight\n1,2,3', 'no column \u201cheight\u201d', 'Found: age, size, weight');
  await refused('a.csv', '1,2,3\n4,5', 'Row 2 is too short', 'Expected: 3 columns', 'Found: 2');
  await refused('a.csv', 'age,height,weight\n', 'no row of numbers', 'Found: a header alone');
  await refused('a.csv', ' \n', 'no row of numbers', 'Found: nothing');
  await refused('a.json', '[1, 2', 'not JSON', 'Expected: a list of numbers');
  await refused('a.json', '7', 'neither a list nor an object', 'Expected: a list of 3 numbers');
  await refused('a.csv', '1'.repeat(17 * 2 ** 20), 'too large', 'at most 16 MiB', '17 MiB');
});
