/** Schemas of an OpenAPI document as elements. */

import { el } from './dom.js';

/** Text with `code` in it, as nodes. */
export function words(text) {
  return text.split(/`([^`]+)`/).map((part, i) => (i % 2 ? el('code', {}, part) : part));
}

/** Paragraphs and lists of plain Markdown, as elements. */
export function prose(text = '') {
  return text.trim().split(/\n\s*\n/).filter(Boolean).flatMap((block) => {
    const lines = block.split('\n');
    const first = lines.findIndex((line) => /^\s*[-*] /.test(line));
    if (first < 0) return [el('p', {}, ...words(lines.join(' ')))];
    const items = lines.slice(first).join('\n').split(/^\s*[-*] /m).filter(Boolean);
    const before = first ? [el('p', {}, ...words(lines.slice(0, first).join(' ')))] : [];
    return [...before, el('ul', { class: 'dots' }, ...items.map((item) => el('li', {}, ...words(item.replaceAll('\n', ' ').trim()))))];
  });
}

const nameOf = (ref) => decodeURIComponent(ref.split('/').pop().replaceAll('~1', '/').replaceAll('~0', '~'));
const isNull = (schema) => schema?.type === 'null';

function joined(parts, between) {
  return parts.flatMap((part, i) => (i ? [between, ...part] : part));
}

/** What a value may be, in a few words and links: nodes. */
export function typeOf(schema) {
  if (schema === undefined || schema === true || Object.keys(schema).length === 0) return ['any value'];
  if (schema.$ref) return [el('a', { href: `#schema-${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  const choice = schema.oneOf ?? schema.anyOf;
  if (choice) return joined(choice.map(typeOf), ' or ');
  if (schema.allOf) return joined(schema.allOf.map(typeOf), ' with ');
  if (schema.const !== undefined) return [el('code', {}, JSON.stringify(schema.const))];
  if (schema.enum) return joined(schema.enum.map((value) => [el('code', {}, JSON.stringify(value))]), ' or ');
  const types = [schema.type ?? (schema.properties ? 'object' : 'any value')].flat();
  return joined(types.map((type) => {
    if (type === 'array') return ['list of ', ...typeOf(schema.items)];
    if (type === 'object' && schema.additionalProperties && !schema.properties) return ['map to ', ...typeOf(schema.additionalProperties)];
    return [schema.format && type !== 'null' ? `${type} (${schema.format})` : type];
  }), ' or ');
}

const BOUNDS = [
  ['default', 'default'], ['minimum', 'least'], ['exclusiveMinimum', 'above'], ['maximum', 'most'], ['exclusiveMaximum', 'below'], ['minLength', 'shortest'],
  ['maxLength', 'longest'], ['minItems', 'fewest'], ['maxItems', 'most'], ['pattern', 'pattern'],
];

/** The limits of a value in words; empty if there are none. */
function bounds(schema = {}) {
  const said = BOUNDS.filter(([name]) => schema[name] !== undefined && schema[name] !== null);
  return said.map(([name, word]) => `${word} ${typeof schema[name] === 'string' ? schema[name] : JSON.stringify(schema[name])}`).join(', ');
}

/** Rows of a table of fields: name, what it may be, what it is for. */
export function fieldRow(name, schema, { required = false, description, where } = {}) {
  const limits = bounds(schema);
  const text = description ?? schema?.description;
  const cells = [el('td', {}, ...typeOf(schema), limits && el('span', { class: 'note' }, `, ${limits}`))];
  return el('tr', {},
    el('th', { scope: 'row' }, el('code', {}, name), required ? el('span', { class: 'needed' }, ' needed') : ''),
    ...(where === undefined ? [] : [el('td', {}, where)]),
    ...cells,
    el('td', {}, ...words(text ?? '')));
}

export const table = (heads, rows) => el('div', { class: 'scroll' },
  el('table', {}, el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col', class: head.toLowerCase() }, head)))), el('tbody', {}, ...rows)));

/** What an inline value holds that is worth a table of its own: an object, or a list or choice of objects. */
function inner(schema) {
  if (!schema || schema.$ref) return undefined;
  if (schema.properties) return schema;
  if (schema.items) return inner(schema.items);
  return (schema.oneOf ?? schema.anyOf)?.filter((one) => !isNull(one)).map(inner).find(Boolean);
}

/** A schema in full: its fields, those of objects within it below it. */
export function shape(schema, depth = 0) {
  if (schema.$ref) return [el('p', {}, ...typeOf(schema))];
  const parts = schema.allOf ?? (schema.oneOf ?? schema.anyOf)?.filter((one) => !isNull(one));
  if (parts?.some((one) => inner(one))) {
    const word = schema.allOf ? 'All of these:' : 'One of these:';
    return [el('p', { class: 'note' }, word), ...parts.map((one) => el('div', { class: 'part' }, ...prose(one.description), ...shape(one, depth)))];
  }
  const object = inner(schema);
  if (!object) {
    const limits = bounds(schema);
    return [el('p', {}, ...typeOf(schema), limits && `, ${limits}`)];
  }
  const named = Object.entries(object.properties);
  const rows = named.map(([name, one]) => fieldRow(name, one, { required: object.required?.includes(name) }));
  const deeper = depth > 3 ? [] : named.filter(([, one]) => inner(one)).flatMap(([name, one]) =>
    [el('details', { class: 'part' }, el('summary', {}, el('code', {}, name)), ...shape(one, depth + 1))]);
  return [object === schema ? '' : el('p', {}, ...typeOf(schema)), table(['Name', 'Value', 'Meaning'], rows), ...deeper];
}
