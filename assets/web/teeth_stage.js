// A stage on which teeth can be turned: drag, arrow keys, wheel, pinch, and a button in `row` for each view. After turntable.js.
// teethStage(host, views, row, what) gives { show(scene, label), redraw, stir }. what: { draw: () -> { poses, and what paintTeeth.paint takes },
// over(context, seen, look): lines and words on top, hover(index), pick(index), viewed(view): a view is gone to }.
const teethStage = (() => {
  const FINE = 2, MOST_PIXELS = 2e6, SLOW_MS = 30;

  function colours(host) {
    const style = getComputedStyle(host), read = (name) => style.getPropertyValue(name).trim();
    return { accent: cssColour(host, "--tooth-chosen"), ghost: cssColour(host, "--tooth-ghost"), words: read("--tooth-words"),
      behind: read("--tooth-behind"), font: style.fontFamily };
  }

  return (host, views, row, what) => {
    const canvas = document.createElement("canvas"), over = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    over.setAttribute("aria-hidden", "true");
    host.replaceChildren(canvas, over);
    let scene = null, seen = null, hovered = -1;

    function draw(coarse, look) {
      const fine = Math.min(Math.max(FINE, devicePixelRatio), Math.sqrt(MOST_PIXELS / Math.max(1, host.clientWidth * host.clientHeight)));
      const { poses, ...how } = what.draw();
      seen = paintTeeth.paint(canvas, scene, poses, table.camera, look, how, coarse ? 1 : fine);
      if (!seen) return;
      over.width = Math.round(host.clientWidth * fine); over.height = Math.round(host.clientHeight * fine);
      const context = over.getContext("2d");
      context.scale(over.width / host.clientWidth, over.height / host.clientHeight);
      if (what.over) what.over(context, seen, look);
    }

    // A view from a button shows the teeth as large as they fit.
    function fit(camera) {
      const { poses, shown } = what.draw();
      [camera.wide, camera.high] = paintTeeth.extent(scene, poses, shown, camera);
    }

    function under(event) {
      if (!event || !seen) return -1;
      const box = host.getBoundingClientRect();
      return seen.tooth(event.clientX - box.left, event.clientY - box.top);
    }
    function hover(index) { if (what.hover && index !== hovered) { hovered = index; what.hover(index); } }

    const table = turntable(host, views, row, { camera: { wide: 40, high: 40 }, slow_ms: SLOW_MS, look: () => colours(host), draw,
      words: "Teeth in 3-D. The arrow keys turn them, plus and minus zoom, Home resets the view.",
      viewed: (view, to) => { if (what.viewed) what.viewed(view); fit(to); },
      hover: (event) => hover(under(event)),
      click: (event) => { if (what.pick) what.pick(under(event)); } });

    function show(shown, label) {
      const fresh = !scene;
      scene = shown;
      if (fresh) fit(table.camera);
      canvas.setAttribute("aria-label", label);
      table.ready(true);
    }
    return { show, redraw: table.redraw, stir: table.stir };
  };
})();
