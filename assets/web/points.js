// Point clouds on plain canvases: shaded balls through a depth buffer, without WebGL, which is slow where there is no GPU.
// `pointClouds(host, views, row)` gives { read, show, redraw }: one camera for all clouds in `host`, buttons for the views in `row`.
// A cloud is { xyz: base64 int16 in 1/8000 of a unit (x right, y up, z to the viewer), rgb: base64 uint8 }; rgb is optional.
const pointClouds = (() => {
  const UNIT = 8000, MISSING = -32768, DISTANCE = 7, REACH = 1.38, FINE = 2, SLOW_MS = 18, REST_MS = 180, TURN_MS = 280;
  const BALL = 1.65, LIGHT = [-0.36, 0.5, 0.79], RADIAN = Math.PI / 180, STEP = 10 * RADIAN;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
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

  function hex(host, name) {
    const text = getComputedStyle(host).getPropertyValue(name).trim(), number = parseInt(text.slice(1), 16);
    return [number >> 16 & 255, number >> 8 & 255, number & 255];
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

  function surface(canvas, scale) {
    const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (!width || !height) return null;
    let kept = canvas.kept;
    if (!kept || kept.width !== width || kept.height !== height) {
      canvas.width = width; canvas.height = height;
      const context = canvas.getContext("2d", { willReadFrequently: true }), image = context.createImageData(width, height);
      kept = canvas.kept = { width, height, context, image, pixels: new Uint32Array(image.data.buffer), depth: new Float32Array(width * height) };
    }
    kept.pixels.fill(0);
    kept.depth.fill(-Infinity);
    return kept;
  }

  function paint(canvas, cloud, camera, look, scale) {
    const kept = surface(canvas, scale);
    if (!kept) return;
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
    const home = views[0] || ["", 30, 22, 0, 1];
    const camera = { yaw: home[1] * RADIAN, pitch: home[2] * RADIAN, zoom: 1, first: home[3], last: home[4] };
    const canvases = [], fingers = new Map();
    let shown = [], look = null, asked = 0, turning = 0, resting = null, coarse = false;

    const buttons = views.map((view) => {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = view[0]; button.disabled = true;
      button.addEventListener("click", () => go(view));
      return button;
    });
    row.prepend(...buttons);
    row.hidden = !views.length;
    mark(home);

    function mark(view) { buttons.forEach((button, i) => button.setAttribute("aria-pressed", views[i] === view)); }

    function drawAll() {
      asked = 0;
      look = look || { fog: hex(host, "--tile-fill"), low: hex(host, "--cloud-low"), high: hex(host, "--cloud-high") };
      const moving = fingers.size || turning || resting, began = performance.now();
      shown.forEach((cloud, i) => paint(canvases[i], cloud, camera, look, moving && coarse ? 1 : FINE));
      if (moving && performance.now() - began > SLOW_MS) coarse = true;
    }
    function redraw() { if (!asked && shown.length) asked = requestAnimationFrame(drawAll); }

    // While the hand moves a slow machine draws at half the resolution; what stands still is always fine.
    function stir() {
      clearTimeout(resting);
      resting = setTimeout(() => { resting = null; redraw(); }, REST_MS);
      redraw();
    }
    function still() { cancelAnimationFrame(turning); turning = 0; }

    function turn(yaw, pitch) {
      still();
      camera.yaw += yaw;
      camera.pitch = clamp(camera.pitch + pitch, -Math.PI / 2, Math.PI / 2);
      mark(null);
      stir();
    }
    function zoom(factor) { camera.zoom = clamp(camera.zoom * factor, 0.4, 8); stir(); }

    function go(view) {
      still();
      mark(view);
      const full = 2 * Math.PI, from = { ...camera }, began = performance.now();
      const to = { yaw: view[1] * RADIAN, pitch: view[2] * RADIAN, zoom: 1 };
      to.yaw += full * Math.round((from.yaw - to.yaw) / full);
      [camera.first, camera.last] = [view[3], view[4]];
      const quiet = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const tick = (now) => {
        const part = quiet ? 1 : clamp((now - began) / TURN_MS, 0, 1), ease = part * part * (3 - 2 * part);
        for (const key of ["yaw", "pitch", "zoom"]) camera[key] = from[key] + (to[key] - from[key]) * ease;
        turning = part < 1 ? requestAnimationFrame(tick) : 0;
        stir();
      };
      tick(began);
    }

    host.addEventListener("pointerdown", (event) => {
      if (!shown.length || event.button) return;
      still();
      host.focus({ preventScroll: true });
      host.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    host.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = [event.clientX, event.clientY], other = [...fingers].find(([id]) => id !== event.pointerId);
      fingers.set(event.pointerId, now);
      if (other) zoom(Math.hypot(now[0] - other[1][0], now[1] - other[1][1]) / Math.max(1, Math.hypot(before[0] - other[1][0], before[1] - other[1][1])));
      const speed = 0.009 / fingers.size;
      turn((before[0] - now[0]) * speed, (now[1] - before[1]) * speed);
    });
    for (const name of ["pointerup", "pointercancel"]) host.addEventListener(name, (event) => { if (fingers.delete(event.pointerId)) stir(); });
    // Only a view that was clicked takes the wheel; others let the page scroll. Pinching a touch pad comes with ctrlKey.
    host.addEventListener("wheel", (event) => {
      if (!shown.length || (document.activeElement !== host && !event.ctrlKey)) return;
      event.preventDefault();
      zoom(Math.exp(-clamp(event.deltaY, -120, 120) * (event.ctrlKey ? 0.01 : 0.0016)));
    }, { passive: false });
    host.addEventListener("dblclick", () => { if (shown.length) go(home); });
    host.addEventListener("keydown", (event) => {
      const act = { ArrowLeft: () => turn(STEP, 0), ArrowRight: () => turn(-STEP, 0), ArrowUp: () => turn(0, -STEP), ArrowDown: () => turn(0, STEP),
        "+": () => zoom(1.2), "=": () => zoom(1.2), "-": () => zoom(1 / 1.2), Home: () => go(home) }[event.key];
      if (!act || !shown.length || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
    new ResizeObserver(redraw).observe(host);
    new MutationObserver(() => { look = null; redraw(); }).observe(document.body, { attributes: true, attributeFilter: ["class"] });

    // Show clouds with their labels; gives their canvases, the same ones every time.
    function show(clouds, labels) {
      shown = clouds;
      while (canvases.length < clouds.length) canvases.push(Object.assign(document.createElement("canvas"), { role: "img" }));
      labels.forEach((label, i) => canvases[i].setAttribute("aria-label", label));
      for (const button of buttons) button.disabled = !clouds.length;
      if (clouds.length) {
        host.tabIndex = 0;
        host.setAttribute("role", "group");
        host.setAttribute("aria-label", "3-D view. The arrow keys turn it, plus and minus zoom, Home resets it.");
      }
      redraw();
      return canvases.slice(0, clouds.length);
    }
    const read = (cloud) => ({ ...cloud, xyz: new Int16Array(bytes(cloud.xyz).buffer), rgb: cloud.rgb && bytes(cloud.rgb),
      part: cloud.part && bytes(cloud.part) });
    return { read, show, redraw };
  };
})();
