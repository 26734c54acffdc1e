// Lets modules of the page be imported by Node: what a server has below client/ is the package in npm/.

import { register } from 'node:module';

const PACKAGE = new URL('../../../npm/src/', import.meta.url).href;
const hook = `export const resolve = (name, context, next) => next(name.replace(/^\\.\\/client\\//, ${JSON.stringify(PACKAGE)}), context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
