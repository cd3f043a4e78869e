// What pictures that are drawn pixel by pixel share: bytes out of messages, the theme's colours, a canvas as numbers.
const base64Bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// A colour like #a0b1c2 of the style in force at a node as [red, green, blue].
function cssColour(node, name) {
  const number = parseInt(getComputedStyle(node).getPropertyValue(name).trim().slice(1), 16);
  return [number >> 16 & 255, number >> 8 & 255, number & 255];
}

// The cleared pixels of a canvas at `scale` to its CSS size, null while it has none, and what more(size) makes of their
// count; all kept for as long as the size stays.
function pixelSheet(canvas, scale, more) {
  const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (!width || !height) return null;
  let kept = canvas.kept;
  if (!kept || kept.width !== width || kept.height !== height) {
    canvas.width = width; canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true }), image = context.createImageData(width, height);
    kept = canvas.kept = { width, height, context, image, pixels: new Uint32Array(image.data.buffer), ...more(width * height) };
  }
  kept.pixels.fill(0);
  return kept;
}
