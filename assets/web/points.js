// Point clouds on plain canvases: shaded balls through a depth buffer, without WebGL, which is slow where there is no GPU.
// `pointClouds(host, views, row)` gives { read, show, redraw }: one camera for all clouds in `host`, buttons for the views in `row`.
// After pixels.js and turntable.js.
// A cloud is { xyz: base64 int16 in 1/8000 of a unit (x right, y up, z to the viewer), rgb: base64 uint8 }; rgb is optional.
const pointClouds = (() => {
  const UNIT = 8000, MISSING = -32768, DISTANCE = 7, REACH = 1.38, FINE = 2, SLOW_MS = 18;
  const BALL = 1.65, LIGHT = [-0.36, 0.5, 0.79];
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const balls = new Map();

  // The pixels of a ball of this radius: where they are, how much nearer than the ball's middle, how light, how glossy.
  function ball(radius) {
    const key = Math.max(1, Math.round(2 * radius));
    if (balls.has(key)) return balls.get(key);
    const r = key / 2, reach = Math.ceil(r), found = [];
    for (let y = -reach; y <= reach; y++) for (let x = -reach; x <= reach; x++) {
      const far = (x * x + y * y) / (r * r);
      if (far > 1 && (x || y)) continue;
      const z = Math.sqrt(Math.max(0, 1 - far));
      const light = Math.max(0, (x / r) * LIGHT[0] - (y / r) * LIGHT[1] + z * LIGHT[2]);
      found.push([x, y, z, 256 * (r < 1 ? 0.92 : 0.64 + 0.36 * light), r < 1 ? 0 : 34 * light ** 12]);
    }
    const column = (i, kind) => kind.from(found, (pixel) => pixel[i]);
    const made = { x: column(0, Int16Array), y: column(1, Int16Array), z: column(2, Float32Array), light: column(3, Int16Array),
      gloss: column(4, Int16Array), size: found.length };
    balls.set(key, made);
    return made;
  }

  // Clouds without colours: a calm ramp by height.
  function tint(cloud, look) {
    if (cloud.tinted === look) return cloud.tint;
    cloud.tint = new Uint8Array(cloud.xyz.length);
    for (let i = 0; i < cloud.xyz.length; i += 3) {
      const high = clamp((cloud.xyz[i + 1] / UNIT + 1) / 2, 0, 1);
      for (let c = 0; c < 3; c++) cloud.tint[i + c] = look.low[c] + (look.high[c] - look.low[c]) * high;
    }
    cloud.tinted = look;
    return cloud.tint;
  }

  const deep = (size) => ({ depth: new Float32Array(size) });

  function paint(canvas, cloud, camera, look, scale) {
    const kept = pixelSheet(canvas, scale, deep);
    if (!kept) return;
    kept.depth.fill(-Infinity);
    const { width, height, pixels, depth } = kept, { xyz } = cloud, rgb = cloud.rgb || tint(cloud, look);
    const cy = Math.cos(camera.yaw) / UNIT, sy = Math.sin(camera.yaw) / UNIT, cp = Math.cos(camera.pitch), sp = Math.sin(camera.pitch);
    const count = xyz.length / 3, end = 3 * Math.round(count * camera.last);
    const size = BALL / Math.sqrt(Math.max(count, 256)), unit = DISTANCE * camera.zoom * Math.min(width, height) / 2 / REACH;
    const [fogRed, fogGreen, fogBlue] = look.fog;
    for (let i = 3 * Math.round(count * camera.first); i < end; i += 3) {
      if (xyz[i] === MISSING) continue;
      const back = xyz[i] * sy + xyz[i + 2] * cy, up = xyz[i + 1] / UNIT;
      const z = back * cp + up * sp, near = unit / (DISTANCE - z);
      const left = Math.round(width / 2 + (xyz[i] * cy - xyz[i + 2] * sy) * near), top = Math.round(height / 2 - (up * cp - back * sp) * near);
      const disc = ball(size * near);
      if (left < -40 || left > width + 40 || top < -40 || top > height + 40) continue;
      const clear = clamp(0.8 + 0.24 * z, 0.45, 1), haze = 1 - clear;
      const red = rgb[i] * clear + fogRed * haze, green = rgb[i + 1] * clear + fogGreen * haze, blue = rgb[i + 2] * clear + fogBlue * haze;
      for (let k = 0; k < disc.size; k++) {
        const x = left + disc.x[k], y = top + disc.y[k];
        if (x < 0 || x >= width || y < 0 || y >= height) continue;
        const at = y * width + x, nearness = z + disc.z[k] * size;
        if (nearness <= depth[at]) continue;
        depth[at] = nearness;
        const light = disc.light[k], gloss = disc.gloss[k];
        const r = Math.min(255, (red * light >> 8) + gloss), g = Math.min(255, (green * light >> 8) + gloss), b = Math.min(255, (blue * light >> 8) + gloss);
        pixels[at] = 0xff000000 | b << 16 | g << 8 | r;
      }
    }
    kept.context.putImageData(kept.image, 0, 0);
  }

  return (host, views, row) => {
    const [, , , first, last] = views[0] || ["", 0, 0, 0, 1], canvases = [];
    let shown = [];
    const table = turntable(host, views, row, { camera: { first, last }, slow_ms: SLOW_MS,
      words: "3-D view. The arrow keys turn it, plus and minus zoom, Home resets it.",
      look: () => ({ fog: cssColour(host, "--tile-fill"), low: cssColour(host, "--cloud-low"), high: cssColour(host, "--cloud-high") }),
      draw: (coarse, look) => shown.forEach((cloud, i) => paint(canvases[i], cloud, table.camera, look, coarse ? 1 : FINE)),
      viewed: (view) => { [table.camera.first, table.camera.last] = view.slice(3); } });

    // Show clouds with their labels; gives their canvases, the same ones every time.
    function show(clouds, labels) {
      shown = clouds;
      while (canvases.length < clouds.length) canvases.push(Object.assign(document.createElement("canvas"), { role: "img" }));
      labels.forEach((label, i) => canvases[i].setAttribute("aria-label", label));
      table.ready(clouds.length > 0);
      return canvases.slice(0, clouds.length);
    }
    const read = (cloud) => ({ ...cloud, xyz: new Int16Array(base64Bytes(cloud.xyz).buffer), rgb: cloud.rgb && base64Bytes(cloud.rgb),
      part: cloud.part && base64Bytes(cloud.part) });
    return { read, show, redraw: table.redraw };
  };
})();
