/* Numbers and lengths as people read them. */
export const digits = (value, count = 5) => Number.isFinite(value) ? Number(value.toPrecision(count)).toString() : "not a number";

const UNITS = [["m", 1e4, 1e3], ["mm", 1, 1], ["um", 1e-3, 1e-3], ["nm", 0, 1e-6]];

/* The unit for lengths in mm (or pixels) up to `largest`, and how much one of it is. */
export function lengthUnit(largest, unit) {
  if (unit === "pixel") return ["pixels", 1];
  if (!largest) return ["mm", 1];
  const [name, , scale] = UNITS.find(([, least]) => Math.abs(largest) * 1.00005 >= least);
  return [name, scale];
}

export function length(value, unit, count = 4) {
  const [name, scale] = lengthUnit(value, unit);
  return `${digits(value / scale, count)} ${name}`;
}

export const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "testid") made.dataset.testid = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
