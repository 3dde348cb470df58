/** The OpenAPI document as a page to read. */

import { byId, el, say } from './dom.js';
import { fieldRow, prose, shape, table, typeOf, words } from './schema.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];

let root;

/** What a reference within the document leads to, or the value itself. */
function at(value) {
  if (!value?.$ref?.startsWith('#/')) return value;
  const names = value.$ref.slice(2).split('/').map((name) => decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~'));
  return names.reduce((here, name) => here?.[name], root) ?? {};
}

function operations() {
  return Object.entries(root.paths ?? {}).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => {
    const operation = item[method];
    const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(at);
    const id = `${method}-${path}`.replace(/[^A-Za-z0-9]+/g, '-').replace(/-$/, '');
    return { ...operation, id, method, path, parameters, tag: operation.tags?.[0] ?? 'other' };
  }));
}

const badge = (method) => el('span', { class: `method method-${method}` }, method.toUpperCase());

/** A path with room to break before each slash. */
const broken = (path) => path.split(/(?=\/)/).flatMap((part) => [el('wbr'), part]);

/** The bodies of a request or an answer: those that hold the same in several formats together. */
function contents(content = {}) {
  const same = {};
  for (const one of Object.entries(content)) (same[JSON.stringify(one[1])] ??= []).push(one);
  return Object.values(same).flatMap((group) => {
    const types = group.flatMap(([type], i) => [i ? ' or ' : '', el('code', {}, type)]);
    const [, media] = group[0];
    const { schema } = media;
    const line = el('p', { class: 'media' }, ...types, ...(schema ? [': ', ...typeOf(schema)] : []));
    const detail = schema && !schema.$ref ? shape(schema).filter((node) => node instanceof Element && node.tagName !== 'P') : [];
    const example = media.example ?? at(Object.values(media.examples ?? {})[0])?.value ?? schema?.example;
    const shown = example === undefined ? [] : [el('pre', {}, typeof example === 'string' ? example : JSON.stringify(example, null, 2))];
    return [line, ...detail, ...shown];
  });
}

function answer([status, given]) {
  const { description, headers = {}, content } = at(given);
  const lines = Object.entries(headers).map(([name, header]) => {
    const about = at(header).description;
    return el('p', { class: 'media' }, el('code', {}, name), ': ', ...typeOf(at(header).schema), ...(about ? [', ', ...words(about)] : []));
  });
  return [el('dt', { class: `status-${status[0]}` }, status), el('dd', {}, ...prose(description), ...lines, ...contents(content))];
}

/** What is answered: in full if it went well, folded if not. */
function answers(responses = {}) {
  const all = Object.entries(responses);
  const refused = all.filter(([status]) => /^[45]/.test(status));
  const list = (some) => el('dl', { class: 'answers' }, ...some.flatMap(answer));
  const folded = () => el('details', {}, el('summary', {}, `Refused: ${refused.map(([status]) => status).join(', ')}`), list(refused));
  return [list(all.filter((one) => !refused.includes(one))), refused.length ? folded() : ''];
}

function section(operation) {
  const body = at(operation.requestBody);
  const rows = operation.parameters.map((one) => fieldRow(one.name, one.schema, { required: one.required, description: one.description, where: one.in }));
  const access = (operation.security ?? root.security ?? []).flatMap(Object.keys);
  return el('article', { class: 'card', id: operation.id },
    el('h3', {}, badge(operation.method), el('a', { href: `#${operation.id}`, class: 'name' }, ...broken(operation.path))),
    operation.summary ? el('p', { class: 'summary' }, ...words(operation.summary)) : '',
    operation.deprecated ? el('p', { class: 'needed' }, 'Deprecated') : '',
    ...prose(operation.description),
    access.length ? el('p', { class: 'note' }, `Access: ${[...new Set(access)].join(', ')}`) : '',
    ...(rows.length ? [el('h4', {}, 'Parameters'), table(['Name', 'In', 'Value', 'Meaning'], rows)] : []),
    ...(body ? [el('h4', {}, body.required ? 'Body' : 'Body (optional)'), ...prose(body.description), ...contents(body.content)] : []),
    el('h4', {}, 'Answers'), ...answers(operation.responses));
}

function draw() {
  const all = operations();
  const described = new Map((root.tags ?? []).map((tag) => [tag.name, tag.description]));
  const tags = [...new Set([...described.keys(), ...all.map((one) => one.tag)])].filter((tag) => all.some((one) => one.tag === tag));
  const schemas = Object.entries(root.components?.schemas ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const schemes = Object.entries(root.components?.securitySchemes ?? {});
  say(byId('version'), `${root.info?.title ?? ''} ${root.info?.version ?? ''}`);
  byId('contents').replaceChildren(
    ...tags.flatMap((tag) => [el('h2', {}, tag), el('ul', {}, ...all.filter((one) => one.tag === tag).map((one) =>
      el('li', {}, el('a', { href: `#${one.id}`, title: one.summary }, badge(one.method), el('span', { class: 'name' }, ...broken(one.path))))))]),
    el('h2', {}, 'Schemas'),
    el('ul', {}, ...schemas.map(([name]) => el('li', {}, el('a', { href: `#schema-${name}` }, el('span', { class: 'name' }, name))))));
  byId('content').replaceChildren(
    ...prose(root.info?.description),
    ...schemes.map(([name, scheme]) => el('p', {}, el('b', {}, `${name}: `), ...words(scheme.description ?? `${scheme.type} ${scheme.scheme ?? ''}`))),
    ...tags.flatMap((tag) => [el('h2', {}, tag), ...prose(described.get(tag)), ...all.filter((one) => one.tag === tag).map(section)]),
    el('h2', {}, 'Schemas'),
    ...schemas.map(([name, schema]) => el('article', { class: 'card', id: `schema-${name}` },
      el('h3', {}, el('a', { href: `#schema-${name}`, class: 'name' }, name)), ...prose(schema.description), ...shape(schema))));
  // What the address names was not there when it was opened.
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

function find() {
  const sought = byId('find').value.trim().toLowerCase();
  for (const line of byId('contents').querySelectorAll('li')) {
    const link = line.firstElementChild;
    line.hidden = !`${link.textContent} ${link.title}`.toLowerCase().includes(sought);
  }
  for (const list of byId('contents').querySelectorAll('ul')) {
    list.hidden = list.previousElementSibling.hidden = [...list.children].every((line) => line.hidden);
  }
}

byId('find').addEventListener('input', find);
try {
  const answer = await fetch('/v1/openapi.json');
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  root = await answer.json();
  draw();
} catch (error) {
  byId('content').replaceChildren(el('p', { class: 'card' }, `The document cannot be shown: ${error.message}`));
  throw error;
}
