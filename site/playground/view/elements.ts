/** Elements of a page, made by one call each. Text is only ever set as text. */
type Child = Node | string | undefined;
type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  return filled(document.createElement(name), attributes, children);
}

export function shape<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Name] {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

/** `true`: the attribute is there; `false` or undefined: it is not. */
function filled<Filled extends Element>(
  into: Filled,
  attributes: Attributes,
  children: readonly Child[],
): Filled {
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== false)
      into.setAttribute(name, value === true ? '' : String(value));
  into.append(...children.filter((child) => child !== undefined));
  return into;
}

export function button(text: string, onClick: () => void, attributes: Attributes = {}) {
  const made = element('button', { type: 'button', ...attributes }, text);
  made.addEventListener('click', onClick);
  return made;
}
