// A small pad to draw a density on. Its value is the ink as base64, one byte per cell of 64 x 64, first row on top.
const canvas = element.querySelector("canvas"), paint = canvas.getContext("2d", { willReadFrequently: true });
let last = null;
const place = (event) => { const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * 64 / box.width, (event.clientY - box.top) * 64 / box.height]; };
function stroke(from, to) {
  paint.strokeStyle = "#2a8fa0"; paint.lineWidth = 4; paint.lineCap = "round";
  paint.beginPath(); paint.moveTo(...from); paint.lineTo(to[0] + 0.01, to[1]); paint.stroke();
}
function keep() {
  const pixels = paint.getImageData(0, 0, 64, 64).data, ink = [];
  for (let i = 3; i < pixels.length; i += 4) ink.push(String.fromCharCode(pixels[i]));
  props.value = btoa(ink.join(""));
  trigger("change");
}
canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = place(event); stroke(last, last); event.preventDefault(); });
canvas.addEventListener("pointermove", (event) => { if (last) { const here = place(event); stroke(last, here); last = here; } });
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { if (last) { last = null; keep(); } });
element.querySelector(".pad-clear").addEventListener("click", () => { paint.clearRect(0, 0, 64, 64); keep(); });
