export type TemplateValues = Readonly<Record<string, string | boolean>>;

/**
 * Fills a template: `{{name}}` is a value, `{{#name}}…{{/name}}` stays where it is true or not empty, `{{^name}}…{{/name}}` where not. A mark
 * alone on its line takes the line with it.
 */
export function fillTemplate(template: string, values: TemplateValues): string {
  const known = (name: string): string | boolean => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) throw new Error(`the template names ${name}, which has no value`);
    return value;
  };
  const fill = (text: string): string =>
    text
      .replace(/\{\{([#^])(\w+)\}\}(.*?)\{\{\/\2\}\}/gs, (_all, sign: string, name: string, inner: string) =>
        Boolean(known(name)) === (sign === '#') ? fill(inner) : '',
      )
      .replace(/\{\{(\w+)\}\}/g, (_all, name: string) => String(known(name)));
  return fill(template.replace(/^[ \t]*(\{\{[#^/]\w+\}\})[ \t]*\n/gm, '$1'));
}
