// A stage on which teeth can be turned: drag, arrow keys, wheel, pinch, and a button in `row` for each view.
// teethStage(host, views, row, what) gives { show(scene, label), redraw, scene }. what: { draw: () -> { poses, and what paintTeeth.paint takes },
// over(context, seen, look): lines and words on top, hover(index), pick(index), viewed(view): a button was pressed }.
const teethStage = (() => {
  const FINE = 2, MOST_PIXELS = 2e6, SLOW_MS = 30, REST_MS = 180, TURN_MS = 320, RADIAN = Math.PI / 180, STEP = 10 * RADIAN, CLICK_PX = 5;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const quiet = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  function colours(host) {
    const style = getComputedStyle(host), read = (name) => style.getPropertyValue(name).trim();
    const rgb = (name) => { const number = parseInt(read(name).slice(1), 16); return [number >> 16 & 255, number >> 8 & 255, number & 255]; };
    return { accent: rgb("--tooth-chosen"), ghost: rgb("--tooth-ghost"), words: read("--tooth-words"), behind: read("--tooth-behind"), font: style.fontFamily };
  }

  return (host, views, row, what) => {
    const canvas = document.createElement("canvas"), over = document.createElement("canvas"), fingers = new Map();
    canvas.setAttribute("role", "img");
    over.setAttribute("aria-hidden", "true");
    host.replaceChildren(canvas, over);
    const home = views[0], camera = { yaw: home[1] * RADIAN, pitch: home[2] * RADIAN, zoom: 1, wide: 40, high: 40 };
    let scene = null, seen = null, look = null, asked = 0, turning = 0, resting = null, coarse = false, dragged = 0, hovered = -1;

    const buttons = views.map((view) => {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = view[0]; button.disabled = true;
      button.addEventListener("click", () => go(view));
      return button;
    });
    row.prepend(...buttons);
    const mark = (view) => buttons.forEach((button, i) => button.setAttribute("aria-pressed", views[i] === view));
    mark(home);

    function drawAll() {
      asked = 0;
      if (!scene) return;
      look = look || colours(host);
      const moving = fingers.size || turning || resting, began = performance.now();
      const fine = Math.min(Math.max(FINE, devicePixelRatio), Math.sqrt(MOST_PIXELS / Math.max(1, host.clientWidth * host.clientHeight)));
      const { poses, ...how } = what.draw();
      seen = paintTeeth.paint(canvas, scene, poses, camera, look, how, moving && coarse ? 1 : fine);
      if (moving && performance.now() - began > SLOW_MS) coarse = true;
      if (!seen) return;
      over.width = Math.round(host.clientWidth * fine); over.height = Math.round(host.clientHeight * fine);
      const context = over.getContext("2d");
      context.scale(over.width / host.clientWidth, over.height / host.clientHeight);
      if (what.over) what.over(context, seen, look);
    }
    const redraw = () => { if (!asked && scene) asked = requestAnimationFrame(drawAll); };

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
    function zoom(factor) { camera.zoom = clamp(camera.zoom * factor, 0.5, 8); stir(); }

    // A view from a button shows the teeth as large as they fit.
    function framed(view) {
      const to = { yaw: view[1] * RADIAN, pitch: view[2] * RADIAN, zoom: 1 }, { poses, shown } = what.draw();
      [to.wide, to.high] = paintTeeth.extent(scene, poses, shown, to);
      return to;
    }

    function go(view) {
      still();
      mark(view);
      if (what.viewed) what.viewed(view);
      const from = { ...camera }, to = framed(view), began = performance.now(), full = 2 * Math.PI;
      to.yaw += full * Math.round((from.yaw - to.yaw) / full);
      const tick = (now) => {
        const part = quiet() ? 1 : clamp((now - began) / TURN_MS, 0, 1), ease = part * part * (3 - 2 * part);
        for (const key in to) camera[key] = from[key] + (to[key] - from[key]) * ease;
        turning = part < 1 ? requestAnimationFrame(tick) : 0;
        stir();
      };
      tick(began);
    }

    const under = (event) => { const box = host.getBoundingClientRect(); return seen ? seen.tooth(event.clientX - box.left, event.clientY - box.top) : -1; };
    function hover(index) { if (what.hover && index !== hovered) { hovered = index; what.hover(index); } }

    host.addEventListener("pointerdown", (event) => {
      if (!scene || event.button) return;
      still();
      host.focus({ preventScroll: true });
      host.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      dragged = fingers.size > 1 ? Infinity : 0;
    });
    host.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) { if (event.pointerType === "mouse") hover(under(event)); return; }
      const now = [event.clientX, event.clientY], other = [...fingers].find(([id]) => id !== event.pointerId);
      dragged += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (dragged < CLICK_PX) return;
      fingers.set(event.pointerId, now);
      if (other) zoom(Math.hypot(now[0] - other[1][0], now[1] - other[1][1]) / Math.max(1, Math.hypot(before[0] - other[1][0], before[1] - other[1][1])));
      const speed = 0.009 / fingers.size;
      turn((before[0] - now[0]) * speed, (now[1] - before[1]) * speed);
    });
    host.addEventListener("pointerup", (event) => { if (fingers.has(event.pointerId) && dragged < CLICK_PX && what.pick) what.pick(under(event)); });
    for (const name of ["pointerup", "pointercancel"]) host.addEventListener(name, (event) => { if (fingers.delete(event.pointerId)) stir(); });
    host.addEventListener("pointerleave", () => hover(-1));
    // Only a view that was clicked takes the wheel; others let the page scroll. Pinching a touch pad comes with ctrlKey.
    host.addEventListener("wheel", (event) => {
      if (!scene || (document.activeElement !== host && !event.ctrlKey)) return;
      event.preventDefault();
      zoom(Math.exp(-clamp(event.deltaY, -120, 120) * (event.ctrlKey ? 0.01 : 0.0016)));
    }, { passive: false });
    host.addEventListener("dblclick", () => { if (scene) go(home); });
    host.addEventListener("keydown", (event) => {
      const act = { ArrowLeft: () => turn(STEP, 0), ArrowRight: () => turn(-STEP, 0), ArrowUp: () => turn(0, -STEP), ArrowDown: () => turn(0, STEP),
        "+": () => zoom(1.2), "=": () => zoom(1.2), "-": () => zoom(1 / 1.2), Home: () => go(home) }[event.key];
      if (!act || !scene || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
    new ResizeObserver(redraw).observe(host);
    new MutationObserver(() => { look = null; redraw(); }).observe(document.body, { attributes: true, attributeFilter: ["class"] });

    function show(shown, label) {
      const fresh = !scene;
      scene = shown;
      if (fresh) Object.assign(camera, framed(home));
      canvas.setAttribute("aria-label", label);
      for (const button of buttons) button.disabled = !scene;
      host.tabIndex = 0;
      host.setAttribute("role", "group");
      host.setAttribute("aria-label", "Teeth in 3-D. The arrow keys turn them, plus and minus zoom, Home resets the view.");
      redraw();
    }
    return { show, redraw, stir };
  };
})();
