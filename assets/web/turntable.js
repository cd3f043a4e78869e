// A camera that people turn: drag, pinch, wheel, arrow keys, and a button in `row` for each view. The first view is home.
// turntable(host, views, row, what) gives { camera, ready, redraw, stir }. A view is [title, yaw, pitch in degrees, ...].
// what: { camera: more values that a camera has, words: what the host is called, slow_ms: a frame that takes longer is slow,
// look(): colours, asked for anew after a change of theme, draw(coarse, look), viewed(view, to): a view is gone to, whose
// camera `to` may be changed, and, where wanted, hover(event): the mouse passes, null when it has gone, click(event) }.
const turntable = (() => {
  const REST_MS = 180, TURN_MS = 280, RADIAN = Math.PI / 180, STEP = 10 * RADIAN, CLICK_PX = 5, NEAREST = 8, FARTHEST = 0.4;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const quiet = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const aimed = (view) => ({ yaw: view[1] * RADIAN, pitch: view[2] * RADIAN, zoom: 1 });

  return (host, views, row, what) => {
    const home = views[0] || ["", 30, 22, 0, 1], camera = { ...aimed(home), ...what.camera }, fingers = new Map();
    const slack_px = what.click ? CLICK_PX : 0;
    let full = false, look = null, asked = 0, turning = 0, resting = null, coarse = false, dragged = 0;

    const buttons = views.map((view) => {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = view[0]; button.disabled = true;
      button.addEventListener("click", () => go(view));
      return button;
    });
    row.prepend(...buttons);
    row.hidden = !views.length;
    const mark = (view) => buttons.forEach((button, i) => button.setAttribute("aria-pressed", views[i] === view));
    mark(home);

    function drawAll() {
      asked = 0;
      if (!full) return;
      look = look || what.look();
      const moving = fingers.size || turning || resting, began = performance.now();
      what.draw(moving && coarse, look);
      if (moving && performance.now() - began > what.slow_ms) coarse = true;
    }
    const redraw = () => { if (!asked && full) asked = requestAnimationFrame(drawAll); };

    // While things move a slow machine draws at half the resolution; what stands still is always fine.
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
    function zoom(factor) { camera.zoom = clamp(camera.zoom * factor, FARTHEST, NEAREST); stir(); }

    function go(view) {
      still();
      mark(view);
      const to = aimed(view), from = { ...camera }, began = performance.now(), round = 2 * Math.PI;
      what.viewed(view, to);
      to.yaw += round * Math.round((from.yaw - to.yaw) / round);
      const tick = (now) => {
        const part = quiet() ? 1 : clamp((now - began) / TURN_MS, 0, 1), ease = part * part * (3 - 2 * part);
        for (const key in to) camera[key] = from[key] + (to[key] - from[key]) * ease;
        turning = part < 1 ? requestAnimationFrame(tick) : 0;
        stir();
      };
      tick(began);
    }

    host.addEventListener("pointerdown", (event) => {
      if (!full || event.button) return;
      still();
      host.focus({ preventScroll: true });
      host.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      dragged = fingers.size > 1 ? Infinity : 0;
    });
    host.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) { if (what.hover && event.pointerType === "mouse") what.hover(event); return; }
      const now = [event.clientX, event.clientY], other = [...fingers].find(([id]) => id !== event.pointerId);
      dragged += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (dragged < slack_px) return;
      fingers.set(event.pointerId, now);
      if (other) zoom(Math.hypot(now[0] - other[1][0], now[1] - other[1][1]) / Math.max(1, Math.hypot(before[0] - other[1][0], before[1] - other[1][1])));
      const speed = 0.009 / fingers.size;
      turn((before[0] - now[0]) * speed, (now[1] - before[1]) * speed);
    });
    host.addEventListener("pointerup", (event) => { if (fingers.has(event.pointerId) && dragged < slack_px) what.click(event); });
    for (const name of ["pointerup", "pointercancel"]) host.addEventListener(name, (event) => { if (fingers.delete(event.pointerId)) stir(); });
    host.addEventListener("pointerleave", () => { if (what.hover) what.hover(null); });
    // Only a view that was clicked takes the wheel; others let the page scroll. Pinching a touch pad comes with ctrlKey.
    host.addEventListener("wheel", (event) => {
      if (!full || (document.activeElement !== host && !event.ctrlKey)) return;
      event.preventDefault();
      zoom(Math.exp(-clamp(event.deltaY, -120, 120) * (event.ctrlKey ? 0.01 : 0.0016)));
    }, { passive: false });
    host.addEventListener("dblclick", () => { if (full) go(home); });
    host.addEventListener("keydown", (event) => {
      const act = { ArrowLeft: () => turn(STEP, 0), ArrowRight: () => turn(-STEP, 0), ArrowUp: () => turn(0, -STEP), ArrowDown: () => turn(0, STEP),
        "+": () => zoom(1.2), "=": () => zoom(1.2), "-": () => zoom(1 / 1.2), Home: () => go(home) }[event.key];
      if (!act || !full || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
    new ResizeObserver(redraw).observe(host);
    new MutationObserver(() => { look = null; redraw(); }).observe(document.body, { attributes: true, attributeFilter: ["class"] });

    // Whether there is something to turn; draws it.
    function ready(now) {
      full = now;
      for (const button of buttons) button.disabled = !full;
      if (full) {
        host.tabIndex = 0;
        host.setAttribute("role", "group");
        host.setAttribute("aria-label", what.words);
      }
      redraw();
    }
    return { camera, ready, redraw, stir };
  };
})();
