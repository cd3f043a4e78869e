// The numbers of a forecast: unpacked, in units, and what follows from the members. Joined with forecast.js.
const MISSING = -32768, ABSOLUTE = "absolute", DIFFERENCE = "difference";
const FAMILIES = [
  { hPa: [1, 0, "hPa"], Pa: [100, 0, "Pa"] },
  { K: [1, 0, "K"], C: [1, -273.15, "°C"], F: [1.8, -459.67, "°F"] },
];
// The usual threshold of each family: a low, or frost.
const USUAL = [1000, 273.15];
const familyOf = (unit) => FAMILIES.find((family) => unit in family) || { [unit]: [1, 0, unit === "1" ? "σ" : unit] };

async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
}

// {shape, values: Float32Array} of a message of ui/forecast/pack.py, in the first unit of the family.
async function unpacked(message, [factor, offset], isDifference) {
  if (!message) return null;
  const bytes = await inflated(message.data), count = bytes.length / 2, width = message.shape.at(-1);
  const values = new Float32Array(count);
  for (let row = 0; row < count; row += width) {
    let level = 0;
    for (let i = row; i < row + width; i++) {
      level = (level + (bytes[i] | bytes[count + i] << 8)) << 16 >> 16;
      const value = message.offset + message.step * level;
      values[i] = level === MISSING ? NaN : isDifference ? value / factor : (value - offset) / factor;
    }
  }
  return { shape: message.shape, values };
}

const mapOf = (array, ...at) => {
  const size = array.shape.at(-1) * array.shape.at(-2);
  const index = at.reduce((sum, place, axis) => sum * array.shape[axis] + place, 0);
  return array.values.subarray(index * size, (index + 1) * size);
};

// Means and standard deviations (lead, y, x) over the members.
function moments(members) {
  const [count, leads, rows, columns] = members.shape, size = leads * rows * columns;
  const mean = new Float32Array(size), spread = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    let sum = 0, squares = 0;
    for (let m = 0; m < count; m++) sum += members.values[m * size + i];
    const middle = sum / count;
    for (let m = 0; m < count; m++) squares += (members.values[m * size + i] - middle) ** 2;
    mean[i] = middle; spread[i] = count > 1 ? Math.sqrt(squares / (count - 1)) : 0;
  }
  const shape = [leads, rows, columns];
  return [{ shape, values: mean }, { shape, values: spread }];
}

// Share of the members on one side of a threshold, at each place of one lead.
function chances(members, lead, threshold, above) {
  const [count, , rows, columns] = members.shape, found = new Float32Array(rows * columns);
  for (let m = 0; m < count; m++) {
    const values = mapOf(members, m, lead);
    for (let i = 0; i < found.length; i++) found[i] += above ? values[i] > threshold : values[i] < threshold;
  }
  return found.map((number) => number / count);
}

// Sample quantile with linear interpolation between order statistics; `sorted` rises.
function quantile(sorted, share) {
  const at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

// A step of 1, 2, 2.5 or 5 times a power of ten, that splits a width into about `count` parts.
function niceStep(width, count) {
  const rough = width / count, power = 10 ** Math.floor(Math.log10(rough || 1));
  return [1, 2, 2.5, 5, 10].find((step) => step * power >= rough * 0.999) * power;
}

function ticksOf(low, high, count) {
  const step = niceStep(high - low, count), found = [];
  for (let k = Math.ceil(low / step - 1e-6); k * step <= high + step * 1e-6; k++) found.push(k * step);
  return found;
}

// Rounded outwards to a step that the colour bar can show.
function niceRange(low, high) {
  const step = niceStep(high - low || 1, 8);
  return [Math.floor(low / step + 1e-6) * step, Math.ceil(high / step - 1e-6) * step];
}

const decimals = (step) => [0, 1, 2, 3, 4, 5].find((places) => Math.abs(step * 10 ** places - Math.round(step * 10 ** places)) < 1e-6) ?? 6;
const said = (value, step) => Number.isFinite(value) ? value.toFixed(decimals(step)).replace(/^-(0\.?0*)$/, "$1").replace("-", "\u2212") : "\u2013";
const degrees = (value, positive, negative) => `${Math.abs(Math.round(value * 100) / 100)}° ${value >= 0 ? positive : negative}`.replace(/^0° .$/, "0°");
const latSaid = (lat) => degrees(lat, "N", "S");
const lonSaid = (lon) => degrees(((lon + 180) % 360 + 360) % 360 - 180, "E", "W");
