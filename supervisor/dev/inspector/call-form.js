// Inputs for a payload, made from the schema that a manifest declares. Each field has `element`, and `read`, which gives undefined for what is
// left out and throws where what was typed is no value.

const create = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const typeOf = ({ type }) => (Array.isArray(type) ? type[0] : type);
const isNullable = ({ type }) => type === 'null' || (Array.isArray(type) && type.includes('null'));

/** A form for one schema: `fields` to show, `read` for the payload that they make. */
export function createFields(schema) {
  const field = createField('payload', schema, true);
  return { element: field.element, read: () => field.read() ?? null };
}

function createField(name, schema, required) {
  if (typeOf(schema) === 'object' && schema.properties) return createGroup(name, schema);
  const input = createInput(schema, required);
  input.element.dataset.field = name;
  input.element.required = required && input.needsText;
  const mark = required ? '' : ' (optional)';
  const label = create('label', {}, `${schema.title ?? name}${mark} `, input.element);
  if (schema.description) label.append(create('small', { textContent: schema.description }));
  return { element: label, read: () => input.read() };
}

function createGroup(name, schema) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).map(([property, inner]) => [
    property,
    createField(property, inner, required.has(property)),
  ]);
  const title = create('legend', { textContent: schema.title ?? name });
  const element = create('fieldset', {}, title, ...fields.map(([, { element }]) => element));
  return {
    element,
    read() {
      const given = fields.map(([property, { read }]) => [property, read()]).filter(([, value]) => value !== undefined);
      return given.length === 0 && isNullable(schema) ? null : Object.fromEntries(given);
    },
  };
}

/** The input that suits a schema. What is empty is left out, unless it is required and a text or nothing may stand there. */
function createInput(schema, required) {
  const type = typeOf(schema);
  const proposed = schema.default;
  const nothing = required && isNullable(schema) ? null : undefined;
  if (schema.enum) return createChoice(schema.enum, proposed, required);
  if (type === 'boolean') return createChoice([true, false], proposed, required);
  if (type === 'string') {
    const element = create('input', { type: 'text', value: proposed ?? '', autocomplete: 'off' });
    if (schema.maxLength !== undefined) element.maxLength = Math.max(schema.maxLength, 1) * 2; // it counts code units
    return {
      element,
      needsText: (schema.minLength ?? 0) > 0,
      read: () => (element.value !== '' ? element.value : nothing === undefined && required ? '' : nothing),
    };
  }
  if (type === 'number' || type === 'integer') {
    const element = create('input', { type: 'number', step: type === 'integer' ? '1' : 'any', value: proposed ?? '' });
    for (const [word, attribute] of [
      ['minimum', 'min'],
      ['maximum', 'max'],
    ])
      if (schema[word] !== undefined) element[attribute] = schema[word];
    return { element, needsText: nothing === undefined, read: () => (element.value === '' ? nothing : Number(element.value)) };
  }
  return createJson(proposed, nothing);
}

function createChoice(values, proposed, required) {
  const options = values.map((value, index) =>
    create('option', { value: String(index), textContent: typeof value === 'string' ? value : JSON.stringify(value) }),
  );
  const element = create('select', {}, ...(required ? [] : [create('option', { value: '', textContent: '(left out)' })]), ...options);
  const at = values.indexOf(proposed);
  if (at !== -1) element.value = String(at);
  return { element, needsText: false, read: () => (element.value === '' ? undefined : values[Number(element.value)]) };
}

function createJson(proposed, nothing) {
  const value = proposed === undefined ? '' : JSON.stringify(proposed);
  const element = create('textarea', { rows: 2, spellcheck: false, value, placeholder: 'JSON' });
  function read() {
    element.setCustomValidity('');
    if (element.value.trim() === '') return nothing;
    try {
      return JSON.parse(element.value);
    } catch (error) {
      element.setCustomValidity('this is not JSON');
      throw error;
    }
  }
  return { element, needsText: false, read };
}
