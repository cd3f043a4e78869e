// Keys and marks of the whole page: Ctrl+Enter runs, Esc stops, errors are shown at the field they concern.
() => {
  const seen = (node) => node && node.offsetParent !== null;
  const visible = (selector) => [...document.querySelectorAll(selector)].find(seen);
  const tell = (node, name) => {
    const tab = node.closest(".task-tab");
    if (tab) tab.dispatchEvent(new CustomEvent("diffuscope:" + name));
  };
  document.addEventListener("click", (event) => {
    const run = event.target.closest(".run-button"), stop = event.target.closest(".stop-button");
    if (run) tell(run, "run");
    if (stop) tell(stop, "stop");
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const run = visible(".run-button");
      if (run) { event.preventDefault(); run.click(); }
    }
    if (event.key === "Escape" && !event.defaultPrevented) {
      const stop = visible(".task-tab:is([data-phase=starting], [data-phase=waiting], [data-phase=working]) .stop-button");
      if (stop) stop.click();
    }
  });
}
